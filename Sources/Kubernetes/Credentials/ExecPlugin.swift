// ExecPlugin: a command that gives credentials, as the `exec` section of a kubeconfig's user names it.
//
// Source of truth: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins

/// A client-go credential plug-in. It is run without a terminal and without input, whatever `interactiveMode` says.
public struct ExecPlugin: Sendable, Equatable {
    /// `client.authentication.k8s.io/v1` or `/v1beta1`; the plug-in must answer in the same.
    public var apiVersion: String
    /// A name that is looked for in PATH, or a path.
    public var command: String
    public var arguments: [String]
    /// Set beside the variables of this process.
    public var environment: [String: SecretText]
    /// What the kubeconfig says to those who do not have the command.
    public var installHint: String?
    /// The cluster as KUBERNETES_EXEC_INFO carries it (`spec.cluster`, JSON); nil unless `provideClusterInfo`.
    public var clusterJSON: String?
    /// A run that takes longer is ended.
    public var timeoutSeconds = 30
    /// Between two runs that a failure or a refusal causes.
    public var pause = Duration.seconds(5)
    /// More output than this is no credential.
    public var outputBytesMax = 1 << 20

    public init(
        apiVersion: String, command: String, arguments: [String] = [], environment: [String: SecretText] = [:],
        installHint: String? = nil, clusterJSON: String? = nil
    ) {
        self.apiVersion = apiVersion
        self.command = command
        self.arguments = arguments
        self.environment = environment
        self.installHint = installHint
        self.clusterJSON = clusterJSON
    }

    static let versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]

    /// The value of KUBERNETES_EXEC_INFO.
    var information: String {
        let cluster = clusterJSON.map { #","cluster":\#($0)"# } ?? ""
        return #"{"apiVersion":"\#(apiVersion)","kind":"ExecCredential","spec":{"interactive":false\#(cluster)}}"#
    }

    /// What stands in an error: the command's name, the problem, the way out. Never arguments, variables or output.
    func problem(_ text: String) -> String {
        var result = "user.exec: the command \(KubernetesError.printable(command, 200)) \(text)"
        if let installHint, !installHint.isEmpty { result += "; \(KubernetesError.printable(installHint, 500))" }
        return result
    }
}
