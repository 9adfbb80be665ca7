// HookManifest+Sender: what a Hook says about its sender beside type and secrets: how the proof is borne, and which fields its type has.

import Delivery

extension HookManifest {
    static func hmac(_ spec: inout YAMLFields, sender: SenderType?) -> HMACScheme? {
        guard let place = spec.node("hmac") else { return sender == .hmac ? HMACScheme() : nil }
        guard var fields = YAMLFields(place.value, path: place.path, findings: spec.findings) else { return nil }
        var scheme = HMACScheme()
        if let header = fields.text("header") {
            if isToken(header.value) {
                scheme.header = header.value.lowercased()
            } else {
                spec.findings.error(header.line, "\(header.path) must be a header field's name, such as X-Signature")
            }
        }
        if let algorithm = choice(fields.text("algorithm"), ["sha256", "sha512"], spec.findings) {
            scheme.algorithm = HMACScheme.Algorithm(rawValue: algorithm) ?? .sha256
        }
        if let encoding = choice(fields.text("encoding"), ["hex", "base64"], spec.findings) {
            scheme.encoding = HMACScheme.Encoding(rawValue: encoding) ?? .hex
        }
        if let prefix = fields.text("prefix") {
            if prefix.value.utf8.count <= 64, prefix.value.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) {
                scheme.prefix = prefix.value
            } else {
                spec.findings.error(prefix.line, "\(prefix.path) must be at most 64 visible ASCII characters")
            }
        }
        fields.finish()
        if let sender, sender != .hmac {
            spec.findings.error(place.line, "spec.hmac is for type hmac only, not for type \(sender.name)")
        }
        return scheme
    }

    /// `credential: {type: header, name: X-Token}` and `tolerance: 5m`: how the sender presents the secret, where its type leaves a choice.
    static func configuration(_ spec: inout YAMLFields, sender: SenderType?) -> SenderConfiguration {
        var configuration = SenderConfiguration()
        refuse("tolerance", of: &spec, sender, for: [.standardWebhooks])
        if let tolerance = spec.duration("tolerance", in: second...(86_400 * second)) {
            configuration.toleranceSeconds = UInt32(tolerance / second)
        }
        guard var fields = spec.map("credential") else { return configuration }
        let name = fields.text("name")
        let username = fields.text("username")
        let types = sender.map { SenderTable.credentials(of: $0).map(\.name) } ?? []
        if let sender, types.isEmpty {
            let choosing = SenderType.allCases.filter { SenderTable.credentials(of: $0).count > 1 }.map(\.name)
            spec.findings.error(
                fields.line,
                "spec.credential: type \(sender.name) leaves no choice; remove it. It is for \(choosing.joined(separator: ", "))"
            )
            _ = fields.text("type")
            fields.finish()
            return configuration
        }
        let type = choice(fields.text("type", required: true), Array(Set(types)).sorted(), spec.findings)
        fields.finish()
        if let name, let type, type != "header", type != "query" {
            spec.findings.error(name.line, "\(name.path) is for the types header and query only, not for \(type)")
        }
        if let username, let type, type != "basic" {
            spec.findings.error(username.line, "\(username.path) is for the type basic only, not for \(type)")
        }
        switch type {
        case "header":
            if let name, isToken(name.value) {
                configuration.credential = .header(name.value.lowercased())
            } else {
                spec.findings.error(fields.line, "spec.credential.name must be a header field's name, such as X-Token")
            }
        case "query":
            if let name, !name.value.isEmpty {
                configuration.credential = .query(name.value)
            } else {
                spec.findings.error(
                    fields.line, "spec.credential.name must be the query parameter's name, such as token")
            }
        case "basic": configuration.credential = .basic(username: username?.value)
        case "bearer": configuration.credential = .bearer
        case "signature": configuration.credential = .signature
        case "path": configuration.credential = .pathSegment
        case "id-token": configuration.credential = .idToken
        default: break
        }
        return configuration
    }

    /// A field that means nothing to the Hook's type: its writer believes in something that does not happen.
    static func refuse(
        _ field: String, of spec: inout YAMLFields, _ sender: SenderType?, for types: [SenderType]
    ) {
        guard let sender, !types.contains(sender), spec.has(field) else { return }
        let names = types.map(\.name).joined(separator: ", ")
        spec.findings.error(
            spec.line(of: field),
            "\(spec.place(field)) is for type \(names) only, not for type \(sender.name); remove it")
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ text: String) -> Bool {
        let symbols = Array("!#$%&'*+-.^_`|~".utf8)
        return (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                symbols.contains($0) || (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20)
            }
    }
}
