// KubeconfigError: what is wrong with a kubeconfig and what to do about it. Names the file, the context and the field;
// never quotes a value, since any value may be a secret.

/// A kubeconfig that cannot be used.
public struct KubeconfigError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Problem: Sendable, Equatable {
        case unreadable(reason: String)
        case notYAML(reason: String)
        case noContexts
        case noCurrentContext
        case unknownContext(known: [String])
        /// A name that the context refers to and that the file does not define.
        case unknown(what: String, name: String)
        case fieldMissing(String)
        case fieldInvalid(String, expected: String)
        /// A file that a field names.
        case fileUnreadable(field: String, reason: String)
        case bothGiven(String, String)
        case unsupported(field: String, instead: String)
        /// A variable of the environment that names a proxy which cannot be used.
        case proxyVariable(String)
        case notInCluster
    }

    public var file: String
    public var context: String?
    public var problem: Problem

    public init(file: String, context: String?, problem: Problem) {
        self.file = file
        self.context = context
        self.problem = problem
    }

    public var description: String {
        let place = context.map { "kubeconfig \(file), context \"\($0)\"" } ?? "kubeconfig \(file)"
        return "\(place): \(problem.text)"
    }
}

extension KubeconfigError.Problem {
    /// The problem and its remedy.
    var text: String {
        switch self {
        case .unreadable(let reason):
            "cannot be read (\(reason)); name another file with --kubeconfig or fix its permissions"
        case .notYAML(let reason):
            "is neither YAML nor JSON (\(reason)); write it anew with `kubectl config view --raw`"
        case .noContexts:
            "defines no contexts; add one with `kubectl config set-context`"
        case .noCurrentContext:
            "has no current-context; set it with `kubectl config use-context NAME`"
        case .unknownContext(let known):
            "there is no such context; the file has \(known.isEmpty ? "none" : known.joined(separator: ", "))"
        case .unknown(let what, let name):
            "names the \(what) \"\(name)\", which the file does not define; add it or correct the context"
        case .fieldMissing(let field):
            "\(field) is missing; add it"
        case .fieldInvalid(let field, let expected):
            "\(field) is not \(expected); correct it"
        case .fileUnreadable(let field, let reason):
            "\(field) names a file that cannot be read (\(reason)); correct the name or the permissions"
        case .bothGiven(let first, let second):
            "gives both \(first) and \(second); keep one"
        case .unsupported(let field, let instead):
            "\(field) is not supported; use \(instead)"
        case .proxyVariable(let name):
            "the variable \(name) names no proxy that can be used; set it to a URL like http://host:3128 or "
                + "socks5://host:1080, or put the API server's host into no_proxy"
        case .notInCluster:
            "this process does not run in a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); use "
                + "--kubernetes kubeconfig, or enable the service account's token in the pod"
        }
    }
}
