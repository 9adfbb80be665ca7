// YAMLGate: refuses, before the parser sees it, the one kind of document that could keep the parser busy for ever.
//
// libyaml is bounded (it refuses nesting beyond 1,000 levels) and Yams shares what an alias stands for, so composing is linear,
// except for keys: Yams hashes them, once for each level of keys within keys, and a key that holds aliases of aliases
// ("billion laughs") is hashed as often as it would be printed. In a flow mapping every entry may be such a key: `{[a]}`.
//
//     cost = bytes · levels · Π (1 + uses of an anchor), over the anchors of lists and maps
//
// is an upper bound. Levels are the brackets that are open at once and stand where a key may begin, plus the `?`; without
// anything that may be a key and is not text nothing is hashed but text. JSON has no such keys (`JSONForm`). The gate reads bytes,
// not YAML: brackets and stars in quoted text and comments count too. So it may refuse a strange document too much, never
// too little.

struct YAMLGate {
    /// About 5 s of hashing in the worst case, where all values are small.
    static let costMax = 1e8
    private static let levelsMax = 1_000

    private let bytes: ArraySlice<UInt8>
    /// For each open bracket, whether it may be a key.
    private var open: [Bool] = []
    private var levels = 0
    private var levelsSeen = 0
    private var explicitKeys = 0
    private var hasComplexKey = false
    /// Whether an entry of a flow collection begins here; anchors, tags and comments leave it so.
    private var isEntry = false
    /// Uses of the latest anchor of a name, for anchors of lists and maps.
    private var uses: [ArraySlice<UInt8>: Int] = [:]
    private var expansions = 1.0

    /// Upper bound of what composing costs, in bytes hashed; 0 when nothing is hashed but text.
    static func cost(of bytes: ArraySlice<UInt8>) -> Double {
        if JSONForm.isJSON(bytes) { return 0 }
        var gate = YAMLGate(bytes)
        gate.scan()
        guard gate.hasComplexKey else { return 0 }
        for count in gate.uses.values { gate.expansions *= Double(1 + count) }
        let levels = Double(min(levelsMax, max(1, gate.levelsSeen + gate.explicitKeys)))
        return Double(bytes.count) * levels * gate.expansions
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    private mutating func scan() {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if isWhite(byte) { continue }
            let wasEntry = isEntry
            isEntry = false
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                open.append(wasEntry)
                if wasEntry { enterKey() }
                isEntry = true
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if open.popLast() == true { levels -= 1 }
                if next(from: index) == UInt8(ascii: ":") { hasComplexKey = true }
            case UInt8(ascii: ","):
                isEntry = true
            case UInt8(ascii: "#") where wasEntry:
                index = bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
                isEntry = true
            case UInt8(ascii: "!") where wasEntry:
                index = bytes[index...].firstIndex { isWhite($0) || isFlowIndicator($0) } ?? bytes.endIndex
                isEntry = true
            case UInt8(ascii: "?"):
                isEntry = wasEntry
                let begins =
                    index - 1 == bytes.startIndex || isWhite(bytes[index - 2]) || isFlowIndicator(bytes[index - 2])
                if begins, !open.isEmpty || index == bytes.endIndex || isWhite(bytes[index]) {
                    explicitKeys += 1
                    hasComplexKey = true
                }
            case UInt8(ascii: "&"):
                isEntry = wasEntry
                index = anchor(at: index)
            case UInt8(ascii: "*"):
                index = alias(at: index, isEntry: wasEntry)
            default: break
            }
        }
    }

    private mutating func enterKey() {
        hasComplexKey = true
        levels += 1
        levelsSeen = max(levelsSeen, levels)
    }

    private mutating func anchor(at index: Int) -> Int {
        let name = bytes[index...].prefix(while: isNameCharacter)
        if name.isEmpty { return index }
        expansions *= Double(1 + (uses.removeValue(forKey: name) ?? 0))
        if isCollection(at: name.endIndex) { uses[name] = 0 }
        return name.endIndex
    }

    private mutating func alias(at index: Int, isEntry: Bool) -> Int {
        let name = bytes[index...].prefix(while: isNameCharacter)
        if name.isEmpty { return index }
        uses[name]? += 1
        if isEntry || next(from: name.endIndex) == UInt8(ascii: ":") { hasComplexKey = true }
        return name.endIndex
    }

    /// The next byte that is not white.
    private func next(from index: Int) -> UInt8? {
        bytes[index...].first { !isWhite($0) }
    }

    /// Whether what follows an anchor may be a list or a map: text on the same line is neither.
    private func isCollection(at index: Int) -> Bool {
        guard let follows = bytes[index...].first(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }) else {
            return true
        }
        return follows >= 0x80 || "[{#!-?\r\n".utf8.contains(follows)
    }

    private func isNameCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private func isFlowIndicator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") || byte == UInt8(ascii: ",")
            || byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}")
    }

    private func isWhite(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
            || byte == UInt8(ascii: "\n")
    }
}
