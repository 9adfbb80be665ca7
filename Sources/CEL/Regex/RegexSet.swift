// RegexSet: a set of code points, as `[a-z\d]` and `\pL` denote it.

struct RegexSet: Sendable {
    struct Item: Sendable {
        var ranges: [ClosedRange<UInt32>] = []
        var categories: [Unicode.GeneralCategory] = []
        var isNegated = false
        var foldsCase = false

        func contains(_ scalar: Unicode.Scalar) -> Bool {
            if holds(scalar) { return !isNegated }
            if foldsCase { for other in scalar.caseVariants where holds(other) { return !isNegated } }
            return isNegated
        }

        private func holds(_ scalar: Unicode.Scalar) -> Bool {
            ranges.contains { $0.contains(scalar.value) }
                || !categories.isEmpty && categories.contains(scalar.properties.generalCategory)
        }
    }

    private let items: [Item]
    private let isNegated: Bool
    // Bit n: whether the set holds the ASCII character n.
    private let low: UInt64
    private let high: UInt64

    /// What folding a code point beyond ASCII weighs against a step of the automaton.
    static let foldingSteps = 32
    /// What finding the general category of one weighs.
    private static let categorySteps = 16
    /// What a question about a code point beyond ASCII weighs.
    let steps: Int

    init(_ items: [Item], isNegated: Bool = false) {
        self.items = items
        self.isNegated = isNegated
        steps = items.reduce(0) {
            let lookup = $1.categories.isEmpty ? 0 : Self.categorySteps
            return $0 + lookup + ($1.ranges.count + $1.categories.count) * ($1.foldsCase ? 4 : 1)
                + ($1.foldsCase ? Self.foldingSteps : 1)
        }
        var bits: (UInt64, UInt64) = (0, 0)
        for value in 0..<128 as Range<UInt8> {
            let scalar = Unicode.Scalar(value)
            guard items.contains(where: { $0.contains(scalar) }) != isNegated else { continue }
            if value < 64 { bits.0 |= 1 << UInt64(value) } else { bits.1 |= 1 << UInt64(value - 64) }
        }
        (low, high) = bits
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<64: low >> UInt64(scalar.value) & 1 == 1
        case 64..<128: high >> UInt64(scalar.value - 64) & 1 == 1
        default: items.contains { $0.contains(scalar) } != isNegated
        }
    }
}

extension RegexSet.Item {
    static let digit = RegexSet.Item(ranges: [0x30...0x39])
    static let space = RegexSet.Item(ranges: [0x09...0x0a, 0x0c...0x0d, 0x20...0x20])
    static let word = RegexSet.Item(ranges: [0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])

    /// `[:alpha:]`
    static func posix(_ name: String) -> RegexSet.Item? {
        switch name {
        case "alnum": RegexSet.Item(ranges: [0x30...0x39, 0x41...0x5a, 0x61...0x7a])
        case "alpha": RegexSet.Item(ranges: [0x41...0x5a, 0x61...0x7a])
        case "ascii": RegexSet.Item(ranges: [0x00...0x7f])
        case "blank": RegexSet.Item(ranges: [0x09...0x09, 0x20...0x20])
        case "cntrl": RegexSet.Item(ranges: [0x00...0x1f, 0x7f...0x7f])
        case "digit": digit
        case "graph": RegexSet.Item(ranges: [0x21...0x7e])
        case "lower": RegexSet.Item(ranges: [0x61...0x7a])
        case "print": RegexSet.Item(ranges: [0x20...0x7e])
        case "punct": RegexSet.Item(ranges: [0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e])
        case "space": RegexSet.Item(ranges: [0x09...0x0d, 0x20...0x20])
        case "upper": RegexSet.Item(ranges: [0x41...0x5a])
        case "word": word
        case "xdigit": RegexSet.Item(ranges: [0x30...0x39, 0x41...0x46, 0x61...0x66])
        default: nil
        }
    }

    /// `\p{Lu}`: a general category, a group of them by its first letter, a script, or `Any`.
    static func unicode(_ name: String) -> RegexSet.Item? {
        if name == "Any" { return RegexSet.Item(ranges: [0...0x10_ffff]) }
        if let ranges = UnicodeScripts.ranges[name] { return RegexSet.Item(ranges: ranges) }
        let found = categories.filter { $0.name == name || name.utf8.count == 1 && $0.name.hasPrefix(name) }
        return found.isEmpty ? nil : RegexSet.Item(categories: found.map(\.category))
    }

    private static let categories: [(name: String, category: Unicode.GeneralCategory)] = [
        ("Lu", .uppercaseLetter), ("Ll", .lowercaseLetter), ("Lt", .titlecaseLetter), ("Lm", .modifierLetter),
        ("Lo", .otherLetter), ("Mn", .nonspacingMark), ("Mc", .spacingMark), ("Me", .enclosingMark),
        ("Nd", .decimalNumber), ("Nl", .letterNumber), ("No", .otherNumber), ("Pc", .connectorPunctuation),
        ("Pd", .dashPunctuation), ("Ps", .openPunctuation), ("Pe", .closePunctuation), ("Pi", .initialPunctuation),
        ("Pf", .finalPunctuation), ("Po", .otherPunctuation), ("Sm", .mathSymbol), ("Sc", .currencySymbol),
        ("Sk", .modifierSymbol), ("So", .otherSymbol), ("Zs", .spaceSeparator), ("Zl", .lineSeparator),
        ("Zp", .paragraphSeparator), ("Cc", .control), ("Cf", .format), ("Cs", .surrogate), ("Co", .privateUse),
    ]
}

extension Unicode.Scalar {
    /// What folds to the same as this one, as far as single code points do.
    var caseVariants: [Unicode.Scalar] {
        if isASCII {
            switch value {
            case 0x41...0x5a, 0x61...0x7a:
                let other = Unicode.Scalar(UInt8(value) ^ 0x20)
                // The Kelvin sign and the long s fold to letters.
                return value | 0x20 == 0x6b
                    ? [other, "\u{212a}"] : value | 0x20 == 0x73 ? [other, "\u{17f}"] : [other]
            default: return []
            }
        }
        var variants: [Unicode.Scalar] = []
        for mapping in [properties.lowercaseMapping, properties.uppercaseMapping, properties.titlecaseMapping] {
            let scalars = mapping.unicodeScalars
            guard let first = scalars.first, scalars.count == 1, first != self else { continue }
            variants.append(first)
            // Upper case of lower case and the reverse: the long s is upper-cased S, which is lower-cased s.
            for again in [first.properties.lowercaseMapping, first.properties.uppercaseMapping] {
                let scalars = again.unicodeScalars
                if let second = scalars.first, scalars.count == 1, second != self { variants.append(second) }
            }
        }
        return variants
    }

    var isWordCharacter: Bool {
        switch value {
        case 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: true
        default: false
        }
    }
}
