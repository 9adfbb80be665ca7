// SecretBook: looks secrets up, and says of each what an operator should know. It never shows a value.

import Delivery

struct SecretBook {
    enum Answer {
        case found(SecretBytes)
        /// Why the secret cannot be used; the text is for operators.
        case unusable(String)
    }

    private struct Key: Hashable {
        let namespace: String
        let name: String
    }

    /// Why a value cannot be had, for those who tell it in words of their own.
    enum Trouble {
        case missing
        case unreadable(String)
        case keyMissing
    }

    private var secrets: [Key: SecretManifest] = [:]
    /// Those that exist but may not be read.
    private let unreadable: [SecretName: String]

    init(_ secrets: some Sequence<SecretManifest>, unreadable: [SecretName: String] = [:]) {
        self.unreadable = unreadable
        for secret in secrets { self.secrets[Key(namespace: secret.namespace, name: secret.name)] = secret }
    }

    /// The value of one key, which may be empty.
    func value(namespace: String, name: String, key: String) -> Answer {
        let place = "Secret/\(namespace)/\(name)"
        if let reason = unreadable[SecretName(namespace: namespace, name: name)] {
            return .unusable("\(place) cannot be read: \(reason)")
        }
        guard let secret = secrets[Key(namespace: namespace, name: name)] else {
            return .unusable("\(place) does not exist; create it with the key \(quoted(key))")
        }
        guard let value = secret.values[key] else {
            let near = NearestName.hint(key, among: secret.values.keys.sorted())
            return .unusable("\(place) has no key \(quoted(key))\(near)")
        }
        return .found(value)
    }

    /// What keeps `value` from being found; nil when nothing does.
    func trouble(namespace: String, name: String, key: String) -> Trouble? {
        if let reason = unreadable[SecretName(namespace: namespace, name: name)] { return .unreadable(reason) }
        guard let secret = secrets[Key(namespace: namespace, name: name)] else { return .missing }
        return secret.values[key] == nil ? .keyMissing : nil
    }

    /// Values that stand in examples and tutorials, or are what people type first.
    private static let defaults: Set<String> = [
        "changeme", "change-me", "change_me", "changeit", "secret", "mysecret", "my-secret", "password", "passw0rd",
        "token", "mytoken", "test", "testing", "admin", "default", "example", "webhook", "webhook-secret", "foobar",
        "123456", "12345678", "1234567890", "0123456789", "topsecret", "grapnel", "github", "gitlab",
    ]

    /// What is doubtful about a value; nil when nothing is.
    static func doubt(about value: SecretBytes) -> String? {
        let bytes = value.bytes
        if bytes.count <= 32 {
            let visible = bytes.filter { $0 > 0x20 }.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
            if defaults.contains(String(decoding: visible, as: UTF8.self)) {
                return "is a well-known default; make one with: openssl rand -hex 32"
            }
        }
        if bytes.last == 0x0a || bytes.last == 0x0d {
            return "ends with a line break, which counts: senders that were given it without will be refused"
        }
        if bytes.count < 8 { return "is shorter than 8 bytes and can be guessed; make one with: openssl rand -hex 32" }
        return nil
    }
}
