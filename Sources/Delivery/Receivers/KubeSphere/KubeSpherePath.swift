// KubeSpherePath: the parts of an S2I trigger's path.
//
//     /s2itrigger/v1alpha1/{general|github}/namespaces/{namespace}/s2ibuilders/{builder}      one slash at the end does not count

struct KubeSpherePath {
    enum Route: String { case general, github }

    static let prefix = "/s2itrigger/"

    let route: Route
    /// As decoded; not yet checked.
    let namespace: String
    let builder: String

    /// nil for every other path.
    init?(_ path: String) {
        var parts = Array(path.utf8)[...].split(
            separator: UInt8(ascii: "/"), maxSplits: 9, omittingEmptySubsequences: false)
        if parts.count == 9, parts[8].isEmpty { parts.removeLast() }
        guard parts.count == 8, parts[0].isEmpty else { return nil }
        let texts = parts.dropFirst().compactMap { part in
            PercentDecoded(part).flatMap { String(validating: $0.bytes, as: UTF8.self) }
        }
        guard texts.count == 7, texts[0] == "s2itrigger", texts[1] == "v1alpha1", let route = Route(rawValue: texts[2]),
            texts[3] == "namespaces", texts[5] == "s2ibuilders", !texts[4].isEmpty, !texts[6].isEmpty
        else { return nil }
        self.route = route
        namespace = texts[4]
        builder = texts[6]
    }

    /// Whether both can name Kubernetes objects (RFC 1123 label and subdomain).
    var areNamesValid: Bool {
        Self.isLabel(namespace.utf8[...], bytesMax: 63) && builder.utf8.count <= 253
            && builder.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .allSatisfy { Self.isLabel($0, bytesMax: 253) }
    }

    static func routePath(namespace: String, name: String) -> String {
        "/s2itrigger/v1alpha1/general/namespaces/\(namespace)/s2ibuilders/\(name)"
    }

    private static func isLabel(_ bytes: Substring.UTF8View, bytesMax: Int) -> Bool {
        func isLetterOrDigit(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 || byte &- 0x30 < 10 }
        guard bytes.count <= bytesMax, let first = bytes.first, let last = bytes.last else { return false }
        return isLetterOrDigit(first) && isLetterOrDigit(last)
            && bytes.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") }
    }
}
