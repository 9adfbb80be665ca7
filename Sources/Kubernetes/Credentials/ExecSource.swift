// ExecSource: the credential of a plug-in, kept until it expires or the API server refuses it. All that need one while the
// plug-in runs wait for the same run. One that fails is not run again for some seconds, nor is one whose fresh credential
// is refused.

import Foundation
import Glibc
import NIOSSL

actor ExecSource {
    /// A credential ready for use. The generation tells it from the ones before.
    struct Ready: Sendable {
        var token: String?
        var tls: TLSConfiguration?
        var expiresAt: Date?
        var generation: Int
    }

    private typealias Outcome = Result<Ready, TokenSource.Unreadable>

    private let plugin: ExecPlugin
    private let kubeconfig: Kubeconfig
    private let processEnvironment: [String: String]
    private var ready: Ready?
    private var underWay: Task<Outcome, Never>?
    private var failure: TokenSource.Unreadable?
    private var ranAt: ContinuousClock.Instant?
    private var runs = 0

    init(_ plugin: ExecPlugin, _ kubeconfig: Kubeconfig, environment: [String: String]) {
        self.plugin = plugin
        self.kubeconfig = kubeconfig
        processEnvironment = environment
    }

    func credential() async throws(TokenSource.Unreadable) -> Ready {
        if let ready, ready.expiresAt.map({ $0 > Date() }) ?? true { return ready }
        if let failure, isWithinPause { throw failure }
        // One that gives expired credentials is not run for each call either: what it gave is tried.
        if let ready, isWithinPause { return ready }
        let task =
            underWay
            ?? Task {
                runs += 1
                let outcome = await Self.run(plugin, kubeconfig, processEnvironment, generation: runs)
                underWay = nil
                ranAt = .now
                switch outcome {
                case .success(let fresh): (ready, failure) = (fresh, nil)
                case .failure(let error): failure = error
                }
                return outcome
            }
        underWay = task
        guard let outcome = await valueUnlessCancelled(task) else { throw TokenSource.Unreadable(reason: "cancelled") }
        return try outcome.get()
    }

    /// The API server refused the credential of `generation`. True when the next one may be another.
    func refused(generation: Int) -> Bool {
        guard let ready, ready.generation == generation else { return true }
        if isWithinPause { return false }
        self.ready = nil
        return true
    }

    private var isWithinPause: Bool { ranAt.map { ContinuousClock.now - $0 < plugin.pause } ?? false }

    private static func run(
        _ plugin: ExecPlugin, _ kubeconfig: Kubeconfig, _ processEnvironment: [String: String], generation: Int
    ) async -> Outcome {
        var environment = processEnvironment
        for (name, value) in plugin.environment { environment[name] = value.value }
        environment["KUBERNETES_EXEC_INFO"] = plugin.information
        let ending = await PluginRun.run(
            command: plugin.command, arguments: plugin.arguments, environment: environment,
            timeoutSeconds: plugin.timeoutSeconds, outputBytesMax: plugin.outputBytesMax)
        let problem: String
        switch ending {
        case .output(let data):
            do {
                let credential = try ExecCredential(output: data, apiVersion: plugin.apiVersion)
                return .success(
                    Ready(
                        token: credential.token, tls: try tls(credential, kubeconfig), expiresAt: credential.expiresAt,
                        generation: generation))
            } catch let error as ExecCredential.Unusable {
                problem = error.reason
            } catch {
                problem = "gave a client certificate or key that cannot be used"
            }
        case .notStarted(let code): problem = "cannot be run (\(unsafe String(cString: strerror(code)))); install it"
        case .failed(let code): problem = "ended with status \(code); run it by hand to see what it says"
        case .killed(let signal): problem = "was ended by signal \(signal)"
        case .timedOut:
            problem = "did not end within \(plugin.timeoutSeconds) s; it must not wait for input, there is no terminal"
        case .tooMuch: problem = "printed more than \(plugin.outputBytesMax) bytes"
        }
        return .failure(TokenSource.Unreadable(reason: plugin.problem(problem)))
    }

    /// With the plug-in's client certificate, when it gave one.
    private static func tls(_ credential: ExecCredential, _ kubeconfig: Kubeconfig) throws -> TLSConfiguration? {
        guard let certificate = credential.clientCertificate else { return nil }
        var changed = kubeconfig
        changed.clientCertificate = certificate
        return try KubernetesClient.tls(changed)
    }
}
