// KubernetesError: how a call to the API server failed, in enough detail to decide what heals by itself.
//
// The API server answers errors with an object of kind Status (kubernetes.io/docs/reference/kubernetes-api/common-
// definitions/status). A 404 has two meanings that the status code does not tell apart: the object does not exist
// (reason NotFound, details name it), or the path is not served, as while the server loads its CRDs (plain text, or a
// Status without details).

/// The API server's own account of an error.
public struct KubernetesStatus: Sendable, Equatable {
    public var reason: String?
    public var message: String?
    public var detailsKind: String?
    public var detailsName: String?
    public var detailsRetryAfterSeconds: Int?
    /// The HTTP status; that of an error within a watch, whose own status is 200, stands only here.
    public var code: Int?

    public init(
        reason: String? = nil, message: String? = nil, detailsKind: String? = nil, detailsName: String? = nil,
        detailsRetryAfterSeconds: Int? = nil, code: Int? = nil
    ) {
        self.reason = reason
        self.message = message
        self.detailsKind = detailsKind
        self.detailsName = detailsName
        self.detailsRetryAfterSeconds = detailsRetryAfterSeconds
        self.code = code
    }
}

/// What a call was about; stands in messages and in the RBAC rule that a 403 asks for.
public struct KubernetesCall: Sendable, Equatable {
    public var verb: String
    public var group: String
    /// The plural, or the kind when the plural is not known yet.
    public var resource: String
    public var namespace: String?
    public var name: String?

    public init(verb: String, group: String, resource: String, namespace: String? = nil, name: String? = nil) {
        self.verb = verb
        self.group = group
        self.resource = resource
        self.namespace = namespace
        self.name = name
    }
}

/// A failed call.
public struct KubernetesError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Cause: Sendable, Equatable {
        /// No answer: refused, reset, TLS, name resolution, cut off.
        case connection(String)
        case timeout(seconds: Int)
        /// An answer with a status that is not 2xx.
        case status(Int)
        /// A 2xx whose body is not what was asked for, or is too large.
        case unreadableAnswer(String)
        /// Discovery knows no such kind, in this version or any other.
        case kindNotServed
        /// The token file cannot be read.
        case credentials(String)
        /// A name that cannot stand in a path.
        case invalidName(String)
        case shutDown
    }

    public var call: KubernetesCall
    public var cause: Cause
    public var status: KubernetesStatus?
    public var retryAfterNanoseconds: UInt64?

    public init(
        call: KubernetesCall, cause: Cause, status: KubernetesStatus? = nil, retryAfterNanoseconds: UInt64? = nil
    ) {
        self.call = call
        self.cause = cause
        self.status = status
        self.retryAfterNanoseconds = retryAfterNanoseconds
    }

    /// The HTTP status, when there was an answer with one.
    public var statusCode: Int? {
        if case .status(let code) = cause { code } else { nil }
    }

    /// The server knows the path and says that the object itself does not exist.
    public var isObjectMissing: Bool {
        statusCode == 404 && status?.reason == "NotFound" && status?.detailsName?.isEmpty == false
            && status?.detailsKind?.isEmpty == false
    }

    public var description: String {
        let resource = call.group.isEmpty ? call.resource : "\(call.resource).\(call.group)"
        var text = "\(call.verb) \(resource)"
        if let name = call.name { text += " \"\(name)\"" }
        if let namespace = call.namespace { text += " in namespace \"\(namespace)\"" }
        text += ": "
        switch cause {
        case .connection(let reason): text += "the API server cannot be reached (\(reason))"
        case .timeout(let seconds): text += "no answer from the API server within \(seconds) s"
        case .unreadableAnswer(let reason): text += "the API server's answer cannot be read (\(reason))"
        case .kindNotServed: text += "the API server does not serve this kind; is its CRD installed?"
        case .credentials(let reason): text += "no credentials (\(reason))"
        case .invalidName(let what): text += "\(what) is not a valid name"
        case .shutDown: text += "the client is shut down"
        case .status(let code):
            text += "\(code)"
            if let reason = status?.reason, !reason.isEmpty { text += " \(Self.printable(reason, 60))" }
            if let message = status?.message, !message.isEmpty { text += ": \(Self.printable(message, 300))" }
            if code == 401 { text += "; renew the token or the client certificate of the kubeconfig" }
            if code == 403 {
                text += "; grant it with a rule {apiGroups: [\"\(call.group)\"], resources: [\"\(call.resource)\"], "
                text += "verbs: [\"\(call.verb)\"]} in a \(call.namespace == nil ? "ClusterRole" : "Role")"
                if let namespace = call.namespace { text += " of namespace \"\(namespace)\"" }
            }
        }
        return text
    }

    /// Cut to `limit` characters, control characters replaced: the text is the server's.
    static func printable(_ text: String, _ limit: Int) -> String {
        let cut = text.prefix(limit).map { $0.isNewline || ($0.asciiValue ?? 0x20) < 0x20 ? " " : $0 }
        return String(cut) + (text.count > limit ? "…" : "")
    }
}
