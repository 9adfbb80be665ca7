// HookManifest: Grapnel's own receiver (`grapnel.dev/v1alpha1`, kind `Hook`), checked field by field.
//
// What is wrong refuses the document; what depends on other objects (Secrets, targets) is the compiler's to judge.

import Delivery

/// One key of one Secret in the Hook's own namespace.
struct SecretReference: Equatable, Sendable {
    let name: String
    let key: String
    let line: Int
}

/// An action as it is written, with its secret still to be looked up.
enum HookAction: Sendable {
    case reconcile(ReceiverTarget)
    case reconcileMatching(RepositoryMatch)
    case openshiftBuild(HookObject)
    case s2iRun(HookObject)
    case kpackRefresh(cluster: Placed<String>?)
    case http(url: String, timeoutNanoseconds: UInt64, signing: SecretReference?)
    case exec(command: [String], timeoutNanoseconds: UInt64, line: Int)
    case log

    /// The cluster that it names; nil: it names none.
    var cluster: Placed<String>? {
        switch self {
        case .reconcile(let target), .openshiftBuild(.named(let target)), .s2iRun(.named(let target)): target.cluster
        case .reconcileMatching(let match), .openshiftBuild(.matching(let match)), .s2iRun(.matching(let match)):
            match.cluster
        case .kpackRefresh(let cluster): cluster
        case .http, .exec, .log: nil
        }
    }
}

/// `matchRepository: true` and where to look.
struct RepositoryMatch: Sendable {
    let kinds: [String]
    /// Empty: the Hook's own; `*`: all.
    let namespaces: [String]
    /// nil: the Hook's own.
    let cluster: Placed<String>?
    let line: Int
}

/// One object, or all of the event's repository.
enum HookObject: Sendable {
    case named(ReceiverTarget)
    case matching(RepositoryMatch)
}

struct HookManifest: Sendable {
    let metadata: ObjectMetadata
    let line: Int
    let sender: SenderType
    let host: String?
    let path: String
    let pathLine: Int
    let events: [String]
    let eventsLine: Int
    let secrets: [SecretReference]
    let secretsLine: Int
    let hmac: HMACScheme?
    let configuration: SenderConfiguration
    let providers: [ReceiverProvider]
    let filter: Placed<String>?
    let actions: [HookAction]
    let coalesce: Coalesce?
    let retry: RetryPolicy
    let bodyBytesMax: Int?
    let dedupeWindowSeconds: UInt32?
    let isSuspended: Bool

    /// Every sender type but the one that proves nothing, and the second name of one.
    static let types = SenderType.allCases.filter { $0 != .generic }.map(\.name) + ["forgejo"]

    private static let pathBytesMax = 1_024
    private static let secretsMax = 16
    private static let eventsMax = 100
    static let second: UInt64 = 1_000_000_000
    private static let dedupeWindowSecondsMax = 7 * 86_400

    /// nil, with errors noted, when the document is wrong.
    init?(_ fields: inout YAMLFields, metadata: ObjectMetadata) {
        let findings = fields.findings
        let errorsBefore = findings.errors.count
        guard var spec = fields.map("spec", required: true) else { return nil }
        let sender = Self.sender(&spec)
        self.host = Self.host(&spec)
        self.path = Self.path(&spec) ?? "/hooks/\(metadata.namespace)/\(metadata.name)"
        self.pathLine = spec.line(of: "path")
        let events = spec.texts("events") ?? []
        if events.count > Self.eventsMax {
            findings.error(spec.line(of: "events"), "spec.events has more than \(Self.eventsMax) entries")
        }
        for event in events where event.value.isEmpty || event.value.utf8.count > 256 {
            findings.error(event.line, "\(event.path) must be an event's name of 1 to 256 bytes")
        }
        self.events = events.map(\.value)
        self.eventsLine = spec.line(of: "events")
        let isOpen = sender == .unverified || sender == .genericOIDC
        let references = spec.list("secretRefs", required: !isOpen) ?? []
        self.secrets = references.compactMap { Self.reference($0, findings) }
        self.secretsLine = spec.line(of: "secretRefs")
        if isOpen, let sender, spec.has("secretRefs") {
            let remedy =
                sender == .unverified
                ? "whoever knows the path may call. Choose type token to demand a secret, or remove it"
                : "the token is verified with its issuer's keys; remove it"
            findings.error(secretsLine, "spec.secretRefs has no effect with type \(sender.name): \(remedy)")
        }
        if spec.has("secretRefs"), references.isEmpty {
            findings.error(secretsLine, "spec.secretRefs is empty: without a secret nothing can be verified")
        } else if references.count > Self.secretsMax {
            findings.error(secretsLine, "spec.secretRefs has more than \(Self.secretsMax) entries")
        }
        self.hmac = Self.hmac(&spec, sender: sender)
        self.configuration = Self.configuration(&spec, sender: sender)
        self.providers = ReceiverManifest.providers(&spec) ?? []
        Self.refuse("oidcProviders", of: &spec, sender, for: [.genericOIDC])
        if sender == .genericOIDC, providers.isEmpty {
            findings.error(
                spec.line, "type generic-oidc needs spec.oidcProviders: without an issuer nothing can be verified")
        }
        self.filter = spec.text("filter").flatMap { $0.value.isEmpty ? nil : $0 }
        self.actions = HookActions.read(&spec)
        self.coalesce = Self.coalesce(&spec)
        self.retry = Self.retry(&spec)
        self.bodyBytesMax = spec.size("maxBody", in: 1...(1 << 30))
        self.dedupeWindowSeconds = Self.dedupeWindow(&spec)
        self.isSuspended = spec.boolean("suspend") ?? false
        _ = fields.node("status")
        spec.finish()
        fields.finish()
        guard findings.errors.count == errorsBefore, let sender else { return nil }
        self.sender = sender
        self.metadata = metadata
        self.line = fields.line
    }

    private static func sender(_ spec: inout YAMLFields) -> SenderType? {
        guard let type = spec.text("type", required: true) else { return nil }
        if type.value == "forgejo" { return .gitea }
        if type.value == SenderType.generic.name {
            spec.findings.error(
                type.line,
                "\(type.path) generic proves nothing; use type token with a secret, or type none if everybody may call it"
            )
            return nil
        }
        if let sender = SenderType.allCases.first(where: { $0.name == type.value }) { return sender }
        spec.findings.error(
            type.line,
            "\(type.path) \(quoted(type.value)) is unknown; known types: \(types.joined(separator: ", "))"
                + NearestName.hint(type.value, among: types))
        return nil
    }

    private static func host(_ spec: inout YAMLFields) -> String? {
        guard let host = spec.text("host") else { return nil }
        let lower = host.value.lowercased()
        if KubernetesName.isSubdomain(lower) { return lower }
        spec.findings.error(
            host.line,
            "\(host.path) \(quoted(host.value)) must be a host name alone, without scheme, port or path")
        return nil
    }

    /// RFC 3986 section 3.3, no dot segments and no empty ones, since request paths are compared byte for byte.
    private static func path(_ spec: inout YAMLFields) -> String? {
        guard let path = spec.text("path") else { return nil }
        if let trouble = troubleWith(path: path.value) {
            spec.findings.error(path.line, "\(path.path) \(trouble)")
            return nil
        }
        return path.value
    }

    static func troubleWith(path: String) -> String? {
        guard path.hasPrefix("/") else { return "must begin with /" }
        guard path.utf8.count <= pathBytesMax else { return "is longer than \(pathBytesMax) bytes" }
        if path.utf8.contains(UInt8(ascii: "?")) || path.utf8.contains(UInt8(ascii: "#")) {
            return "must be a path alone, without a query or fragment"
        }
        let allowed = Array("-._~!$&'()*+,;=:@/%".utf8)
        let isAllowed = { (byte: UInt8) in
            allowed.contains(byte) || (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20)
        }
        guard path.utf8.allSatisfy(isAllowed) else {
            return "has a character that cannot stand in a request's path; percent-encode it"
        }
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if segments.dropLast().contains("") { return "must not contain //" }
        if segments.contains(".") || segments.contains("..") { return "must not contain . or .. as a segment" }
        for encoded in path.split(separator: "%", omittingEmptySubsequences: false).dropFirst() {
            let digits = encoded.prefix(2)
            guard digits.count == 2, digits.allSatisfy(\.isHexDigit) else { return "has a % that encodes nothing" }
        }
        return nil
    }

    /// `{name, key}`; the key is `token` unless said otherwise.
    static func reference(_ item: Placed<YAMLNode>, _ findings: YAMLFindings) -> SecretReference? {
        guard var fields = YAMLFields(item.value, path: item.path, findings: findings) else { return nil }
        let name = fields.text("name", required: true)
        let key = fields.text("key")
        fields.finish()
        if let name, !KubernetesName.isSubdomain(name.value) {
            findings.error(name.line, "\(name.path) \(quoted(name.value)) is no Secret's name")
            return nil
        }
        if let key, !KubernetesName.isSecretKey(key.value) {
            findings.error(key.line, "\(key.path) \(quoted(key.value)) is no key of a Secret")
            return nil
        }
        return name.map { SecretReference(name: $0.value, key: key?.value ?? "token", line: item.line) }
    }

    private static func coalesce(_ spec: inout YAMLFields) -> Coalesce? {
        guard var fields = spec.map("coalesce") else { return nil }
        let by = choice(fields.text("by", required: true), ["none", "target", "ref"], spec.findings)
        let window = fields.duration("window", in: 0...(3_600 * second)) ?? 0
        let interval = fields.duration("minInterval", in: 0...(3_600 * second)) ?? 0
        let delay = fields.duration("maxDelay", in: 0...(86_400 * second)) ?? 0
        fields.finish()
        guard let key = by.flatMap(Coalesce.Key.init) else { return nil }
        if key == .none, window > 0 {
            spec.findings.warning(
                fields.line(of: "window"),
                "spec.coalesce.window has no effect with by: none, which merges nothing; choose target or ref, or remove it"
            )
        }
        if let trouble = troubleWith(maxDelay: delay, key, window: window, interval: interval) {
            spec.findings.error(fields.line(of: "maxDelay"), "spec.coalesce.maxDelay \(trouble)")
        }
        return Coalesce(
            by: key, windowNanoseconds: window, minIntervalNanoseconds: interval, maxDelayNanoseconds: delay)
    }

    private static func troubleWith(
        maxDelay: UInt64, _ key: Coalesce.Key, window: UInt64, interval: UInt64
    ) -> String? {
        guard maxDelay > 0 else { return nil }
        if key == .none {
            return "has no effect with by: none, which merges nothing; choose target or ref, or remove it"
        }
        if window == 0 { return "has no effect without a window; add spec.coalesce.window, or remove it" }
        if maxDelay < window { return "is below spec.coalesce.window" }
        return maxDelay < interval ? "is below spec.coalesce.minInterval" : nil
    }

    private static func retry(_ spec: inout YAMLFields) -> RetryPolicy {
        var policy = RetryPolicy()
        guard var fields = spec.map("retry") else { return policy }
        policy.attempts = fields.integer("attempts", in: 1...1_000) ?? policy.attempts
        let millisecond: UInt64 = 1_000_000
        policy.backoffNanoseconds =
            fields.duration("backoff", in: millisecond...(3_600 * second)) ?? policy.backoffNanoseconds
        policy.maxBackoffNanoseconds =
            fields.duration("maxBackoff", in: millisecond...(86_400 * second))
            ?? max(policy.maxBackoffNanoseconds, policy.backoffNanoseconds)
        policy.maxAgeNanoseconds =
            fields.duration("maxAge", in: second...(30 * 86_400 * second)) ?? policy.maxAgeNanoseconds
        if policy.backoffNanoseconds > policy.maxBackoffNanoseconds {
            spec.findings.error(fields.line(of: "maxBackoff"), "spec.retry.maxBackoff is below spec.retry.backoff")
        }
        fields.finish()
        return policy
    }

    /// `dedupeWindow: 10m` or `dedupeWindowSeconds: 600`; 0 turns deduplication off.
    private static func dedupeWindow(_ spec: inout YAMLFields) -> UInt32? {
        let seconds = spec.integer("dedupeWindowSeconds", in: 0...dedupeWindowSecondsMax)
        let duration = spec.duration("dedupeWindow", in: 0...(UInt64(dedupeWindowSecondsMax) * second))
        if spec.has("dedupeWindow"), spec.has("dedupeWindowSeconds") {
            spec.findings.error(
                spec.line(of: "dedupeWindowSeconds"),
                "spec.dedupeWindow and spec.dedupeWindowSeconds exclude each other")
        }
        // A part of a second counts as a whole one: a window that was asked for is never turned off by rounding.
        return seconds.map(UInt32.init) ?? duration.map { UInt32(($0 + second - 1) / second) }
    }

    static func choice(_ text: Placed<String>?, _ known: [String], _ findings: YAMLFindings) -> String? {
        guard let text else { return nil }
        if known.contains(text.value) { return text.value }
        findings.error(
            text.line, "\(text.path) must be \(known.joined(separator: ", ")), found \(quoted(text.value))")
        return nil
    }
}
