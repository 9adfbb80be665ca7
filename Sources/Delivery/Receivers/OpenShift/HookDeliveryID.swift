// HookDeliveryID: what a sender calls its delivery: the same for every attempt (vendors' pages as in each case).

enum HookDeliveryID {
    /// Ids are UUIDs; what is longer is none.
    static let bytesMax = 200

    /// The first of the fields that bears one.
    static func of(_ request: InboundRequest, _ names: [String]) -> String? {
        for name in names {
            if let value = request.field(name), isID(value) { return value }
        }
        return nil
    }

    /// Visible ASCII: it is shown in logs and becomes the value of an annotation.
    private static func isID(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= bytesMax && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }

    /// GitHub, Gitea and Forgejo, Gogs.
    static let github = ["x-github-delivery", "x-gitea-delivery", "x-gogs-delivery"]
    /// Stable across resends; older versions of GitLab have the second only.
    static let gitlab = ["idempotency-key", "x-gitlab-event-uuid"]
    /// Cloud; Server and Data Center.
    static let bitbucket = ["x-request-uuid", "x-request-id"]
}
