// URLCommand: `grapnel url KIND/NAME`: what to enter at the sender.
//
// The path of a Flux Receiver is shown in full, as `kubectl get receiver` shows it; the secret's value only with --reveal.

import ArgumentParser
import Catalog
import Delivery

struct URLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "url", abstract: "Print what to enter at the sender: URL, content type, secret, events.")

    @Argument(
        help: ArgumentHelp(
            "The receiver: Receiver/NAME, Hook/NAME, BuildConfig/NAME or S2iBuilder/NAME.", valueName: "kind/name"))
    var receiver: String
    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Its namespace (default: default).", valueName: "ns"))
    var namespace: String?
    @Flag(help: "Show the secret's value.")
    var reveal = false
    @OptionGroup var options: ServeOptions

    func run() throws {
        let lookup = try RouteLookup(receiver, namespace: namespace)
        let settings = try options.load().settings
        guard let base = settings.externalURL else {
            throw CommandFailure(
                .wrongInput, "--external-url: not set, so the URL is not known; add --external-url https://HOST")
        }
        let catalog = ManifestCatalog(options: settings.catalogOptions)
        let snapshot = catalog.load()
        let route = try lookup.route(in: snapshot)
        let places = snapshot.secretPlaces[route.identity] ?? []
        print(Terminal.table(SenderForm.rows(route, secretPlaces: places, base: base, reveal: reveal)))
    }
}

/// The fields of a sender's webhook form.
enum SenderForm {
    static func rows(
        _ route: RouteDefinition, secretPlaces: [String], base: String, reveal: Bool
    ) -> [[String]] {
        if let rules = route.rules as? OpenShiftRules { return build(rules, route, secretPlaces, base, reveal) }
        var rows = [["URL", url(route, base)]]
        rows += proof(route)
        rows += zip(secretPlaces, route.secrets).map { ["Secret", shown($1, at: $0, reveal)] }
        rows.append(["Events", events(route)])
        if route.readiness != .ready { rows.append(["Ready", route.readiness.summary]) }
        rows.append(["Defined at", route.source])
        return rows
    }

    /// One URL for each type of trigger; the secret is its last but one segment.
    private static func build(
        _ rules: OpenShiftRules, _ route: RouteDefinition, _ secretPlaces: [String], _ base: String, _ reveal: Bool
    ) -> [[String]] {
        var rows: [[String]] = []
        for type in BuildHookType.allCases where rules.facts.triggers.contains(where: { $0.type == type }) {
            let secret =
                reveal
                ? rules.relaySecret(type: type.rawValue).flatMap { String(validating: $0.bytes, as: UTF8.self) } : nil
            rows.append(["URL (\(type.rawValue))", "\(url(route, base))/\(secret ?? "<secret>")/\(type.rawValue)"])
        }
        rows.append(["Content type", "application/json"])
        rows += secretPlaces.map { ["Secret", "\($0) (in the URL; shown with --reveal)"] }
        if route.readiness != .ready { rows.append(["Ready", route.readiness.summary]) }
        rows.append(["Defined at", route.source])
        return rows
    }

    /// The route's host takes the place of the base's, when it has one.
    private static func url(_ route: RouteDefinition, _ base: String) -> String {
        guard let host = route.host, let parsed = try? HTTPURL(base + "/") else { return base + route.path }
        let scheme = parsed.isSecure ? "https" : "http"
        let isOwnPort = parsed.port == (parsed.isSecure ? 443 : 80)
        let path = parsed.target.dropLast()
        return "\(scheme)://\(host)\(isOwnPort ? "" : ":\(parsed.port)")\(path)\(route.path)"
    }

    private static func proof(_ route: RouteDefinition) -> [[String]] {
        let isHook = route.identity.kind == .hook
        return switch route.sender {
        case .dockerHub where isHook, .quay where isHook, .acr where isHook, .cdEvents where isHook,
            .nexus where isHook:
            [
                ["Content type", "application/json"],
                ["Proof", "the secret in the URL: ?token=<secret>, unless spec.credential says otherwise"],
            ]
        case .github:
            [
                ["Content type", "application/json"],
                ["Proof", "X-Hub-Signature-256, made by the sender from the secret"],
            ]
        case .gitlab:
            [["Content type", "application/json"], ["Proof", "X-Gitlab-Token (the form's field \"Secret token\")"]]
        case .genericHMAC:
            [["Content type", "any"], ["Proof", "X-Signature: sha256=HEX, the HMAC of the body with the secret"]]
        case .hmac:
            [
                ["Content type", "any"],
                [
                    "Proof",
                    route.hmac.map {
                        "\($0.header): \($0.prefix)\($0.encoding == .hex ? "HEX" : "BASE64"), the HMAC-"
                            + "\($0.algorithm == .sha256 ? "SHA256" : "SHA512") of the body with the secret"
                    } ?? "the HMAC of the body with the secret",
                ],
            ]
        case .generic:
            [["Content type", "any"], ["Proof", "none but the URL itself: keep it secret"]]
        case .bitbucket:
            [["Content type", "application/json"], ["Proof", "X-Hub-Signature, made by the sender from the secret"]]
        case .gitea:
            [
                ["Content type", "application/json"],
                ["Proof", "X-Gitea-Signature, made by the sender from the secret"],
            ]
        case .harbor: [["Content type", "application/json"], ["Proof", "Authorization (the form's \"Auth Header\")"]]
        case .nexus:
            [["Content type", "application/json"], ["Proof", "X-Nexus-Webhook-Signature, made from the secret key"]]
        case .jfrog: [["Content type", "application/json"], ["Proof", "X-JFrog-Event-Auth, made from the secret"]]
        case .standardWebhooks:
            [["Content type", "any"], ["Proof", "webhook-id, webhook-timestamp and webhook-signature"]]
        case .gcr, .genericOIDC: [["Content type", "any"], ["Proof", "Authorization: Bearer with an ID token"]]
        case .dockerRegistry:
            [
                ["Content type", "any"],
                ["Proof", "a header of the endpoint's configuration, or user and password in the URL"],
            ]
        case .azureDevOps, .basic: [["Content type", "any"], ["Proof", "user name and password (Basic)"]]
        case .token: [["Content type", "any"], ["Proof", "the token, in a header or in the URL"]]
        case .dockerHub, .quay, .acr, .cdEvents:
            [["Content type", "application/json"], ["Proof", "none but the URL itself: keep it secret"]]
        case .unverified: [["Content type", "any"], ["Proof", "none: anybody who knows the URL may call it"]]
        }
    }

    private static func shown(_ secret: SecretBytes, at place: String, _ reveal: Bool) -> String {
        guard reveal else { return "\(place) (shown with --reveal)" }
        return String(validating: secret.bytes, as: UTF8.self) ?? "\(place): \(secret.bytes.count) bytes, not text"
    }

    private static func events(_ route: RouteDefinition) -> String {
        switch route.sender {
        case .generic, .genericHMAC: "all (this type does not look at them)"
        default:
            route.events.isEmpty ? "all that the sender offers are accepted" : route.events.joined(separator: ", ")
        }
    }
}
