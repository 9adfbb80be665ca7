// DockerHubCallback: the answer that Docker Hub's webhook chains wait for at `callback_url`. A pure check; no call is made here.
//
// The address comes from the payload, so it is compared, byte for byte, with the only form that is called:
// `https://registry.hub.docker.com/u/<namespace>/<name>/hook/...` or the same at `hub.docker.com`. No parser, hence no two parsers
// that might disagree. The caller must not follow redirects and gives up after 5 s.

public enum DockerHubCallback {
    public enum State: String, Sendable { case success, failure, error }

    /// POST `body` as `application/json` to `url`.
    public struct Request: Sendable, Hashable {
        public var url: String
        public var body: [UInt8]

        public init(url: String, body: [UInt8]) {
            self.url = url
            self.body = body
        }
    }

    /// Why nothing is called.
    public enum Refusal: Error, Sendable, Equatable {
        /// The body is no payload of Docker Hub.
        case payloadUnusable
        case addressMissing
        /// Other than `https`, or another host, a port or user information.
        case originNotAllowed
        /// Not the payload's own repository.
        case repositoryMismatch
        /// What stands behind `/hook/` is empty, too long or holds other than letters, digits, `-`, `_`, `.` and `/`.
        case pathNotAllowed
    }

    public static let contentType = "application/json"
    public static let timeoutNanoseconds: UInt64 = 5_000_000_000

    private static let origins = ["https://registry.hub.docker.com/", "https://hub.docker.com/"]
    private static let urlBytesMax = 2_048
    private static let descriptionCharactersMax = 255
    private static let contextCharactersMax = 100

    /// The call for a delivery's body. Longer texts are cut to what Docker Hub takes.
    public static func request(
        for body: [UInt8], state: State, description: String, context: String = "Grapnel", targetURL: String? = nil
    ) throws(Refusal) -> Request {
        guard let payload = JSONValue(body), let repository = DockerHubNotification.repository(payload),
            let reference = ImageReference(host: RegistryHost.dockerHub, repository: repository, tag: nil)
        else { throw .payloadUnusable }
        guard let url = payload["callback_url"]?.text, !url.isEmpty else { throw .addressMissing }
        try check(url, repository: reference.repository)
        var answer: [JSONValue.Member] = [
            .init(name: "state", value: .string(state.rawValue)),
            .init(name: "description", value: .string(String(description.prefix(descriptionCharactersMax)))),
            .init(name: "context", value: .string(String(context.prefix(contextCharactersMax)))),
        ]
        if let targetURL { answer.append(.init(name: "target_url", value: .string(targetURL))) }
        return Request(url: url, body: JSONValue.object(answer).serialized)
    }

    private static func check(_ url: String, repository: String) throws(Refusal) {
        guard url.utf8.count <= urlBytesMax else { throw .pathNotAllowed }
        guard let origin = origins.first(where: { url.utf8.starts(with: $0.utf8) }) else { throw .originNotAllowed }
        let path = url.utf8.dropFirst(origin.utf8.count)
        let wanted = "u/\(repository)/hook/"
        guard path.starts(with: wanted.utf8) else { throw .repositoryMismatch }
        let rest = path.dropFirst(wanted.utf8.count)
        guard !rest.isEmpty, rest.allSatisfy(isAllowed),
            rest.split(separator: UInt8(ascii: "/")).allSatisfy({
                !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
            })
        else { throw .pathNotAllowed }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
