// LabelSelector: matchLabels as the API server's query takes it (kubernetes.io/docs/concepts/overview/working-with-objects/labels).

/// Equality on every label. What is no label can match nothing, and must not become another selector.
struct LabelSelector {
    /// `a=b,c=d`, sorted; empty selects all.
    let text: String

    /// nil when a key or value could not stand on any object.
    init?(_ labels: [String: String]) {
        guard labels.allSatisfy({ Self.isLabel($0.key, slash: true) && Self.isLabel($0.value, slash: false) }) else {
            return nil
        }
        text = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }

    private static func isLabel(_ text: String, slash: Bool) -> Bool {
        if slash, text.isEmpty { return false }
        return text.utf8.count <= 317
            && text.utf8.allSatisfy {
                switch $0 {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                case UInt8(ascii: "/"): slash
                default: false
                }
            }
    }
}
