// StoredHook: what the stored path of a relayed delivery says about the trigger that accepted it.
//
// The secret is overwritten before a record is written, and with it what told the triggers of one type apart. The number of the
// trigger is kept in the type behind it, letter by letter: a bit that is set overwrites its letter with `*`.
//
//     generic     letters 0 to 4: bits of the number    letter 6: `env` was sent and the trigger does not allow it
//     bitbucket   letters 0 to 4
//     github      letters 0, 1, 2, 4, 5                  letter 3 tells github and gitlab apart
//     gitlab      as github
//
// The first trigger has the number 0 and changes nothing: `…/webhooks/*****/github`. The second of a type: `…/webhooks/*****/*ithub`.

struct StoredHook: Equatable {
    let type: BuildHookType
    /// Among the triggers of the type, from 0.
    let trigger: Int
    let dropsEnv: Bool

    /// Triggers of one type that can be told apart.
    static let triggersMax = 32

    init(type: BuildHookType, trigger: Int, dropsEnv: Bool) {
        self.type = type
        self.trigger = trigger
        self.dropsEnv = dropsEnv && type == .generic
    }

    /// From the last segment of a stored path; nil when it is none.
    init?(_ segment: some Collection<UInt8>) {
        let segment = Array(segment)
        for type in BuildHookType.allCases {
            let letters = Array(type.rawValue.utf8)
            guard letters.count == segment.count else { continue }
            let hidden = segment.indices.filter { segment[$0] != letters[$0] }
            let bits = Self.bits(of: type)
            let isMark = hidden.allSatisfy { index in
                segment[index] == UInt8(ascii: "*")
                    && (bits.contains(index) || type == .generic && index == Self.envLetter)
            }
            guard isMark else { continue }
            self.type = type
            trigger = hidden.compactMap { bits.firstIndex(of: $0) }.reduce(0) { $0 | 1 << $1 }
            dropsEnv = type == .generic && hidden.contains(Self.envLetter)
            return
        }
        return nil
    }

    /// What to overwrite in a path whose type begins at `start`.
    func masked(_ start: Int) -> [Range<Int>] {
        let bits = Self.bits(of: type).enumerated().filter { trigger >> $0.offset & 1 == 1 }.map(\.element)
        return (bits + (dropsEnv ? [Self.envLetter] : [])).map { (start + $0)..<(start + $0 + 1) }
    }

    /// As a plan has it: `github`, `github#1`.
    var relayText: String { trigger == 0 ? type.rawValue : "\(type.rawValue)#\(trigger)" }

    /// The type and the trigger's number of a plan's text; nil when it is none.
    static func read(relayText text: String) -> (BuildHookType, Int)? {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard let type = parts.first.flatMap({ BuildHookType(rawValue: String($0)) }) else { return nil }
        guard parts.count == 2 else { return (type, 0) }
        guard let number = Int(parts[1]), (0..<triggersMax).contains(number) else { return nil }
        return (type, number)
    }

    private static let envLetter = 6

    /// The letters that stand for the bits of a number, lowest first.
    private static func bits(of type: BuildHookType) -> [Int] {
        switch type {
        case .generic, .bitbucket: [0, 1, 2, 3, 4]
        case .github, .gitlab: [0, 1, 2, 4, 5]
        }
    }
}

extension BuildConfigFacts.Trigger {
    /// The secrets that it accepts, in the order in which the API server compares them.
    var secrets: [SecretBytes] {
        var secrets = [inlineSecret].compactMap { $0 }
        if case .found(let secret) = referencedSecret { secrets.append(secret) }
        return secrets.filter { !$0.isEmpty }
    }
}
