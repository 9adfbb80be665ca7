// NearestName: "did you mean …" for a misspelt field, setting or kind.

package enum NearestName {
    /// The candidate that is nearest to `name` by edits (insert, delete, replace, swap of neighbours; case is free), or nil when
    /// none is near enough to be what was meant. Of equally near ones the first. Names beyond 64 bytes are near nothing.
    package static func of(_ name: String, among candidates: some Sequence<String>) -> String? {
        let wanted = Array(name.lowercased().utf8)
        guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
        let editsMax = max(1, wanted.count / 3)
        var best: (name: String, edits: Int)?
        for candidate in candidates {
            let bytes = Array(candidate.lowercased().utf8)
            guard bytes.count <= 64, abs(bytes.count - wanted.count) <= editsMax else { continue }
            let found = edits(wanted, bytes)
            if found <= editsMax, found < best?.edits ?? Int.max { best = (candidate, found) }
        }
        return best?.name
    }

    /// ` (did you mean "x"?)`, or nothing.
    package static func hint(_ name: String, among candidates: some Sequence<String>) -> String {
        of(name, among: candidates).map { " (did you mean \"\($0)\"?)" } ?? ""
    }

    /// Optimal string alignment distance. O(a · b) time, three rows of memory.
    private static func edits(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        var row = last
        for i in 0..<a.count {
            row[0] = i + 1
            for j in 0..<b.count {
                let replaced = last[j] + (a[i] == b[j] ? 0 : 1)
                row[j + 1] = min(replaced, last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1)
                }
            }
            (beforeLast, last, row) = (last, row, beforeLast)
        }
        return last[b.count]
    }
}
