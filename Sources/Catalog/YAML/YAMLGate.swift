// YAMLGate: refuses, before the parser sees it, the one kind of document that could keep the parser busy for ever.
//
// libyaml is bounded (it refuses nesting beyond 1,000 levels) and Yams shares what an alias stands for, so composing is linear,
// except for keys: Yams hashes them, once for each level of keys within keys, and a key that holds aliases of aliases
// ("billion laughs") is hashed as often as it would be printed. In a flow mapping every entry may be such a key.
//
//     cost = bytes · levels · Π (1 + uses of an anchor), over the anchors of lists and maps
//
// is an upper bound, where levels are at most 1,000, at most the flow nesting or the number of `?`, and the product counts
// only when the document has something that may be a key and is not text. The gate reads bytes, not YAML: brackets and stars
// in quoted text and comments count too. So it may refuse a strange document too much, never too little.

struct YAMLGate {
    /// Some seconds of hashing.
    static let costMax = 2e9
    static let levelsMax = 1_000

    private let bytes: ArraySlice<UInt8>
    private var flowDepth = 0
    private var flowDepthMax = 0
    private var explicitKeys = 0
    private var hasComplexKey = false
    /// Uses of the latest anchor of a name, for anchors of lists and maps.
    private var uses: [ArraySlice<UInt8>: Int] = [:]
    private var expansions = 1.0

    /// Upper bound of what composing costs, in bytes hashed; 0 when nothing is hashed but text.
    static func cost(of bytes: ArraySlice<UInt8>) -> Double {
        var gate = YAMLGate(bytes)
        gate.scan()
        for count in gate.uses.values { gate.expansions *= Double(1 + count) }
        let levels = Double(min(levelsMax, max(gate.flowDepthMax, gate.explicitKeys, gate.hasComplexKey ? 1 : 0)))
        return Double(bytes.count) * levels * (gate.hasComplexKey ? gate.expansions : 1)
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    private mutating func scan() {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                flowDepth += 1
                flowDepthMax = max(flowDepthMax, flowDepth)
                if byte == UInt8(ascii: "{") { noteEntry(at: index) }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                flowDepth = max(0, flowDepth - 1)
                if next(from: index) == UInt8(ascii: ":") { hasComplexKey = true }
            case UInt8(ascii: ","):
                noteEntry(at: index)
            case UInt8(ascii: "?") where index - 1 == bytes.startIndex || !isWord(bytes[index - 2]):
                explicitKeys += 1
                hasComplexKey = true
            case UInt8(ascii: "&"):
                let name = bytes[index...].prefix(while: isNameCharacter)
                if name.isEmpty { continue }
                index = name.endIndex
                expansions *= Double(1 + (uses.removeValue(forKey: name) ?? 0))
                if isCollection(at: index) { uses[name] = 0 }
            case UInt8(ascii: "*"):
                let name = bytes[index...].prefix(while: isNameCharacter)
                if name.isEmpty { continue }
                index = name.endIndex
                uses[name]? += 1
                if next(from: index) == UInt8(ascii: ":") { hasComplexKey = true }
            default: break
            }
        }
    }

    /// An entry of a flow mapping begins here: without a colon it is a key, whatever it is.
    private mutating func noteEntry(at index: Int) {
        switch next(from: index) {
        case UInt8(ascii: "*"), UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "&"), UInt8(ascii: "!"),
            UInt8(ascii: "#"):
            hasComplexKey = true
        default: break
        }
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
        isWord(byte) || byte == UInt8(ascii: "-")
    }

    private func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private func isWhite(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
            || byte == UInt8(ascii: "\n")
    }
}
