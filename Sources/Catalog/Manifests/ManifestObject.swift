// ManifestObject: what every Kubernetes object has, whatever its kind: apiVersion, kind, metadata.

/// Names a resource that the catalog keeps.
struct ResourceKey: Hashable, Comparable, CustomStringConvertible {
    enum Kind: Int, Hashable { case receiver, hook, secret, source, buildConfig, s2iBuilder, kpack }

    let kind: Kind
    /// Tells kinds apart that share a case: `GitRepository`.
    var word: String = ""
    let namespace: String
    let name: String

    var description: String { "\(word.isEmpty ? kind.word : word)/\(namespace)/\(name)" }

    static func < (a: ResourceKey, b: ResourceKey) -> Bool {
        (a.kind.rawValue, a.word, a.namespace, a.name) < (b.kind.rawValue, b.word, b.namespace, b.name)
    }
}

extension ResourceKey.Kind {
    var word: String {
        switch self {
        case .receiver: "Receiver"
        case .hook: "Hook"
        case .secret: "Secret"
        case .source: "source"
        case .buildConfig: "BuildConfig"
        case .s2iBuilder: "S2iBuilder"
        case .kpack: "kpack object"
        }
    }
}

/// Metadata, checked, as far as the catalog needs it.
struct ObjectMetadata {
    let name: String
    let namespace: String
    /// Seconds since 1970; nil when absent, as in hand-written manifests.
    let createdAt: Int?
    let line: Int

    /// Of ObjectMeta, beside what is read; `clusterName` and `selfLink` are of older servers.
    private static let otherFields = [
        "generateName", "selfLink", "uid", "resourceVersion", "generation", "deletionTimestamp",
        "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers", "managedFields",
        "clusterName",
    ]

    /// nil, with errors noted, when the object has no usable name.
    init?(_ fields: inout YAMLFields, defaultNamespace: String = "default") {
        guard var metadata = fields.map("metadata", required: true) else { return nil }
        let findings = metadata.findings
        guard let name = metadata.text("name", required: true) else { return nil }
        guard KubernetesName.isSubdomain(name.value) else {
            findings.error(name.line, "metadata.name \(quoted(name.value)) is no Kubernetes name (RFC 1123 subdomain)")
            return nil
        }
        let errorsBefore = findings.errors.count
        let namespace = metadata.text("namespace").flatMap { $0.value.isEmpty ? nil : $0 }
        if let namespace, !KubernetesName.isLabel(namespace.value) {
            findings.error(
                namespace.line, "metadata.namespace \(quoted(namespace.value)) is no namespace (RFC 1123 label)")
        }
        // A bad time, which only an API server writes, reads as none.
        let created: String? =
            if case .text(let text) = metadata.node("creationTimestamp")?.value.content { text } else { nil }
        // Unknown fields are refused here too: `namspace` would put the object into another namespace.
        for known in Self.otherFields { _ = metadata.node(known) }
        metadata.finish()
        guard findings.errors.count == errorsBefore else { return nil }
        self.name = name.value
        self.namespace = SharedText.of(namespace?.value ?? defaultNamespace)
        self.createdAt = created.flatMap(RFC3339.seconds)
        self.line = metadata.line
    }
}

/// The rules of names (RFC 1123, Kubernetes apimachinery validation).
package enum KubernetesName {
    package static func isLabel(_ text: String) -> Bool {
        text.utf8.count <= 63 && isLabelOfAnyLength(text.utf8[...])
    }

    package static func isSubdomain(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .allSatisfy(isLabelOfAnyLength)
    }

    /// The key of a Secret: letters, digits, `-`, `_` and `.`.
    static func isSecretKey(_ text: String) -> Bool {
        let isDots = text == "." || text.hasPrefix("..")
        return !text.isEmpty && text.utf8.count <= 253 && !isDots
            && text.utf8.allSatisfy { isLowerOrDigit($0 | 0x20) || isLowerOrDigit($0) || "-_.".utf8.contains($0) }
    }

    /// Whether a text can stand as one segment of an API path: object names are, but targets may be oddly named on purpose.
    static func isPathSegment(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%") }
    }

    private static func isLabelOfAnyLength(_ bytes: Substring.UTF8View) -> Bool {
        guard let first = bytes.first, let last = bytes.last, isLowerOrDigit(first), isLowerOrDigit(last) else {
            return false
        }
        return bytes.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

/// Times as an API server writes them: `2026-05-01T12:34:56Z`, fraction and offset allowed.
enum RFC3339 {
    /// Whole seconds since 1970, or nil.
    static func seconds(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int? {
            guard range.upperBound <= bytes.count else { return nil }
            return Int(String(decoding: bytes[range], as: UTF8.self))
        }
        func isAt(_ index: Int, _ character: Character) -> Bool {
            index < bytes.count && bytes[index] | 0x20 == (character.asciiValue ?? 0) | 0x20
        }
        guard isAt(4, "-"), isAt(7, "-"), isAt(10, "T") || isAt(10, " "), isAt(13, ":"), isAt(16, ":"),
            let year = number(0..<4), let month = number(5..<7), (1...12).contains(month),
            let day = number(8..<10), (1...31).contains(day), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19)
        else { return nil }
        var zone = 19
        if isAt(zone, ".") {
            zone += 1
            while zone < bytes.count, bytes[zone] >= 0x30, bytes[zone] <= 0x39 { zone += 1 }
        }
        var offset = 0
        if zone < bytes.count, bytes[zone] == UInt8(ascii: "+") || bytes[zone] == UInt8(ascii: "-") {
            guard let hours = number(zone + 1..<zone + 3), let minutes = number(zone + 4..<zone + 6) else { return nil }
            offset = (hours * 60 + minutes) * (bytes[zone] == UInt8(ascii: "-") ? -60 : 60)
        } else if !isAt(zone, "Z") {
            return nil
        }
        return days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
    }

    /// Days since 1970-01-01 in the Gregorian calendar; March is counted as the first month, so that leap days come last.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
