// SharedText: one copy of texts that stand in thousands of objects: versions, kinds, namespaces, finalizers.

import Synchronization

/// Safe from any thread.
enum SharedText {
    /// What is shared at most; a cluster has fewer such texts, and who makes more gains nothing.
    private static let countMax = 10_000
    private static let known = Mutex<Set<String>>([])

    /// The same text, in the memory of the one seen first. Texts of up to 15 bytes need none of their own.
    static func of(_ text: String) -> String {
        if text.utf8.count <= 15 { return text }
        return known.withLock { known in
            if let index = known.firstIndex(of: text), known[index].utf8.elementsEqual(text.utf8) {
                return known[index]
            }
            if known.count < countMax { known.insert(text) }
            return text
        }
    }
}
