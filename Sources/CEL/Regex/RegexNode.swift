// RegexNode: a pattern's tree. Groups are gone: a search asks whether, not where, so that neither captures nor laziness matter.

indirect enum RegexNode {
    case empty
    case scalar(UInt32, foldsCase: Bool)
    /// `.`
    case any(includesNewline: Bool)
    case set(RegexSet)
    case assertion(Assertion)
    case sequence([RegexNode])
    case alternatives([RegexNode])
    /// Without a maximum it goes on for ever.
    case repeated(RegexNode, Int, Int?)

    enum Assertion {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
    }

    /// How often counted repetitions write the innermost node out; RE2 bounds it as it bounds each count.
    var repetitionWeight: Int {
        switch self {
        case .repeated(let node, let least, let most): max(1, most ?? least) * node.repetitionWeight
        case .sequence(let nodes), .alternatives(let nodes): nodes.map(\.repetitionWeight).max() ?? 1
        default: 1
        }
    }
}
