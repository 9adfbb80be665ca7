// SendCommand: `grapnel send`: a signed delivery, as any sender makes it, and what the server answered.
//
//     grapnel send --type github --secret-file token --url http://127.0.0.1:9292/hooks/team-a/webapp
//     grapnel send Hook/webapp -n team-a --manifests deploy/quickstart/manifests
//
// Exit status: 0 answered 2xx, 1 answered otherwise (or wrong input), 3 no connection.

import ArgumentParser
import Catalog
import Delivery
import Foundation

struct SendCommand: ParsableCommand {
    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case github, gitlab, generic, hmac
        case genericHMAC = "generic-hmac"

        var sender: SenderType {
            switch self {
            case .github: .github
            case .gitlab: .gitlab
            case .generic: .generic
            case .hmac: .hmac
            case .genericHMAC: .genericHMAC
            }
        }
    }

    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Sign and send a sample or given delivery as any sender does.",
        discussion: "Type, path and secret come from the manifests when a receiver is named, else from flags.")

    @Argument(help: ArgumentHelp("Receiver/NAME or Hook/NAME of the manifests.", valueName: "kind/name"))
    var receiver: String?
    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Its namespace (default: default).", valueName: "ns"))
    var namespace: String?
    @Option(help: "The sender: github, gitlab, generic-hmac, hmac, generic (default: the receiver's, else github).")
    var type: Kind?
    @Option(help: ArgumentHelp("Where to: http://HOST:PORT, with a path unless a receiver is named.", valueName: "url"))
    var url: String?
    @Option(
        help: ArgumentHelp(
            "The secret. Other users can see it in the process list: prefer the next two.", valueName: "text"))
    var secret: String?
    @Option(help: ArgumentHelp("File with the secret, used as it is, byte for byte.", valueName: "file"))
    var secretFile: String?
    @Option(help: ArgumentHelp("Environment variable with the secret.", valueName: "name"))
    var secretEnv: String?
    @Option(
        help: ArgumentHelp(
            "Body to send; - is standard input (default: a real payload of that event).", valueName: "file"))
    var file: String?
    @Option(help: ArgumentHelp("Event, such as push, ping or Push Hook (default: a push).", valueName: "name"))
    var event: String?
    @Option(help: ArgumentHelp("Delivery id (default: a fresh one).", valueName: "id"))
    var deliveryId: String?
    @Option(
        help: ArgumentHelp("A further header field, or another value for one. Repeatable.", valueName: "name: value"))
    var header: [String] = []
    @Option(
        help: ArgumentHelp("For type hmac: the field with the signature (default: X-Signature).", valueName: "name"))
    var hmacHeader: String?
    @Option(help: ArgumentHelp("For type hmac: sha256 or sha512 (default: sha256).", valueName: "name"))
    var hmacAlgorithm: String?
    @Option(help: ArgumentHelp("For type hmac: hex or base64 (default: hex).", valueName: "name"))
    var hmacEncoding: String?
    @Option(help: ArgumentHelp("For type hmac: text before the signature.", valueName: "text"))
    var hmacPrefix: String?
    @Flag(help: "Show the secret part of Flux paths.")
    var reveal = false
    @OptionGroup var options: ServeOptions

    private static let bodyBytesMax = 64 << 20

    func run() throws {
        let route = try namedRoute()
        let target = try target(route)
        let sender = type?.sender ?? route?.route.sender ?? .github
        let secret = try secretBytes(sender, route?.route)
        guard Self.canSign(secret, sender) else {
            throw CommandFailure(
                .wrongInput,
                "the secret cannot sign: type \(sender.name) signs with whsec_ and the base64 of 24 to 64 bytes; a public key "
                    + "(whpk_) only verifies")
        }
        var delivery = SignedDelivery(
            sender: sender, body: try body(sender), secret: secret, event: event,
            deliveryID: deliveryId ?? UUID().uuidString.lowercased(), scheme: try scheme(route?.route))
        // A full URL that was given by hand may hold the proof already.
        var requestTarget = target.target
        if let route, let credential = route.route.credential, target.target == route.route.path {
            requestTarget = delivery.prove(by: credential, secret, target: requestTarget)
        }
        for field in header { try Self.add(field, to: &delivery) }
        let bytes = try Self.request(delivery, target, requestTarget)
        print(transcript(delivery, target))
        do {
            let answer = try PlainExchange.send(bytes, host: target.host, port: target.port)
            print(Self.transcript(answer))
            if !(200..<300).contains(answer.status) { throw CommandFailure(.wrongInput, []) }
        } catch let failure as PlainExchange.Failure {
            switch failure {
            case .noConnection(let reason):
                throw CommandFailure(.environment, "no connection: \(reason); is the server running there?")
            case .noAnswer(let reason):
                throw CommandFailure(.environment, "no answer: \(reason); see the server's log")
            }
        }
    }

    // - from flags and manifests

    private func namedRoute() throws -> (route: RouteDefinition, settings: ServerSettings)? {
        guard let receiver else { return nil }
        let lookup = try RouteLookup(receiver, namespace: namespace)
        let settings = try options.load().settings
        let catalog = ManifestCatalog(options: settings.catalogOptions)
        return (try lookup.route(in: catalog.load()), settings)
    }

    private func target(_ route: (route: RouteDefinition, settings: ServerSettings)?) throws -> HTTPURL {
        var text = url
        if let route {
            let base = url ?? route.settings.externalURL ?? Self.ownURL(route.settings)
            guard let parsed = try? HTTPURL(base) else {
                throw CommandFailure(.usage, "--url: \(quoted(base)) is no URL such as http://127.0.0.1:9292")
            }
            // A base without a path gets the receiver's; a full URL stays as it is.
            text = parsed.target == "/" ? base.trimmingSuffix("/") + route.route.path : base
        }
        guard let text else {
            throw CommandFailure(.usage, "where to? Name a receiver (Hook/NAME with --manifests DIR), or add --url URL")
        }
        let parsed: HTTPURL
        do { parsed = try HTTPURL(text) } catch { throw CommandFailure(.usage, "--url: \(error)") }
        guard !parsed.isSecure else {
            throw CommandFailure(
                .wrongInput,
                "--url: https is not supported by this version of `send`; use the server's own http address, or curl "
                    + "with the fields that `send` prints")
        }
        return parsed
    }

    /// The first listener, as it is reached from this machine.
    private static func ownURL(_ settings: ServerSettings) -> String {
        var endpoint = settings.listen.first ?? Endpoint(host: "127.0.0.1", port: 9292)
        if endpoint.host == "0.0.0.0" { endpoint.host = "127.0.0.1" }
        if endpoint.host == "::" { endpoint.host = "::1" }
        return "http://\(endpoint)"
    }

    private func secretBytes(_ sender: SenderType, _ route: RouteDefinition?) throws -> SecretBytes {
        let sources = [secret, secretFile, secretEnv].compactMap { $0 }
        guard sources.count <= 1 else {
            throw CommandFailure(.usage, "--secret, --secret-file and --secret-env exclude each other")
        }
        if let secret { return SecretBytes(Array(secret.utf8)) }
        if let secretFile {
            switch SmallFile.read(secretFile, bytesMax: 64 << 10) {
            case .success(let bytes): return SecretBytes(bytes)
            case .failure(let failure): throw CommandFailure(.wrongInput, "--secret-file: \(failure)")
            }
        }
        if let secretEnv {
            guard let value = ProcessInfo.processInfo.environment[secretEnv] else {
                throw CommandFailure(.wrongInput, "--secret-env: the variable \(quoted(secretEnv)) is not set")
            }
            return SecretBytes(Array(value.utf8))
        }
        if let secret = route?.secrets.first(where: { Self.canSign($0, sender) }) ?? route?.secrets.first {
            return secret
        }
        if sender == .generic { return SecretBytes([]) }
        if let route {
            throw CommandFailure(.wrongInput, "\(route.identity) has no usable secret: \(route.readiness.summary)")
        }
        throw CommandFailure(.usage, "no secret; add --secret-file FILE, --secret-env NAME or --secret TEXT")
    }

    /// Whether deliveries of that type can be signed with it: a public key only verifies.
    private static func canSign(_ secret: SecretBytes, _ sender: SenderType) -> Bool {
        guard sender == .standardWebhooks else { return true }
        if case .symmetric = StandardWebhooksKey(secret) { return true }
        return false
    }

    private func scheme(_ route: RouteDefinition?) throws -> HMACScheme {
        var scheme = route?.hmac ?? HMACScheme()
        scheme.header = hmacHeader ?? scheme.header
        scheme.prefix = hmacPrefix ?? scheme.prefix
        if let hmacAlgorithm {
            guard let algorithm = HMACScheme.Algorithm(rawValue: hmacAlgorithm) else {
                throw CommandFailure(
                    .usage, "--hmac-algorithm must be sha256 or sha512, found \(quoted(hmacAlgorithm))")
            }
            scheme.algorithm = algorithm
        }
        if let hmacEncoding {
            guard let encoding = HMACScheme.Encoding(rawValue: hmacEncoding) else {
                throw CommandFailure(.usage, "--hmac-encoding must be hex or base64, found \(quoted(hmacEncoding))")
            }
            scheme.encoding = encoding
        }
        return scheme
    }

    private func body(_ sender: SenderType) throws -> [UInt8] {
        if let file {
            switch SmallFile.read(file, bytesMax: Self.bodyBytesMax) {
            case .success(let bytes): return bytes
            case .failure(let failure): throw CommandFailure(.wrongInput, "--file: \(failure)")
            }
        }
        switch (sender, event?.lowercased()) {
        case (.gitlab, nil), (.gitlab, "push hook"): return Array(Samples.gitlabPush.utf8)
        case (.github, "ping"): return Array(Samples.githubPing.utf8)
        case (.github, nil), (.github, "push"), (.generic, _), (.genericHMAC, _), (.hmac, _):
            return Array(Samples.githubPush.utf8)
        case (_, let name):
            throw CommandFailure(
                .usage,
                "no sample of the event \(quoted(name ?? "")) is bundled (push, ping, Push Hook are); add --file")
        }
    }

    // - the request

    private static func add(_ text: String, to delivery: inout SignedDelivery) throws {
        guard let colon = text.firstIndex(of: ":") else {
            throw CommandFailure(.usage, "--header: write it as \"Name: value\"")
        }
        let name = String(text[..<colon])
        let value = String(text[text.index(after: colon)...].drop { $0 == " " })
        let isToken = !name.isEmpty && name.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        guard isToken, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
            throw CommandFailure(
                .usage, "--header: a name or value has a character that cannot stand in a header field")
        }
        let words = ["authorization", "cookie", "token", "secret", "password", "key"]
        let isSecret = words.contains { name.lowercased().contains($0) } && name.lowercased() != "idempotency-key"
        delivery.set(name, value, isSecret: isSecret)
    }

    private static func request(
        _ delivery: SignedDelivery, _ target: HTTPURL, _ requestTarget: String
    ) throws -> [UInt8] {
        var head = "POST \(requestTarget) HTTP/1.1\r\nHost: \(target.authority)\r\n"
        for field in delivery.fields {
            guard !field.value.utf8.contains(0x0a), !field.value.utf8.contains(0x0d) else {
                throw CommandFailure(
                    .wrongInput, "\(field.name): the value has a line break, which no header field can carry")
            }
            head += "\(field.name): \(field.value)\r\n"
        }
        head += "Content-Length: \(delivery.body.count)\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + delivery.body
    }

    private func transcript(_ delivery: SignedDelivery, _ target: HTTPURL) -> String {
        let path = reveal ? target.target : WebhookPath.redacted(target.target)
        var lines = ["> POST http://\(target.authority)\(path)"]
        lines += delivery.fields.map { "> \($0.name): \($0.isSecret ? "***" : $0.value)" }
        return (lines + ["> (\(delivery.body.count) bytes)"]).joined(separator: "\n")
    }

    private static func transcript(_ answer: PlainAnswer) -> String {
        var lines = ["< \(answer.statusLine)"] + answer.fields.map { "< \($0.name): \($0.value)" }
        if !answer.body.isEmpty { lines += ["", String(decoding: answer.body.prefix(4_096), as: UTF8.self)] }
        return lines.joined(separator: "\n")
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
    }
}
