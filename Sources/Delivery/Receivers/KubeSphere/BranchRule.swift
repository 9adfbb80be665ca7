// BranchRule: which branches an S2iBuilder builds. Expressions are RE2, searched anywhere in the name, in linear time: builders are
// written by tenants.

internal import CEL

struct BranchRule: Sendable {
    enum Kind: Sendable {
        case name(String)
        case expression(LinearRegex)
        case invalid(String)
    }

    /// Longer names match nothing: git hosts take 255 bytes at most, and a search costs program size times length.
    static let nameBytesMax = 1024

    let kind: Kind

    init(_ builder: S2iBuilderFacts) {
        if builder.branchExpression.isEmpty {
            kind = .name(builder.revisionID.isEmpty ? "master" : builder.revisionID)
        } else {
            do throws(LinearRegexError) {
                kind = .expression(try LinearRegex(builder.branchExpression))
            } catch {
                kind = .invalid(error.description)
            }
        }
    }

    var isInvalid: Bool { if case .invalid = kind { true } else { false } }

    func matches(_ branch: String) -> Bool {
        guard branch.utf8.count <= Self.nameBytesMax else { return false }
        return switch kind {
        case .name(let name): name.utf8.elementsEqual(branch.utf8)
        case .expression(let expression): expression.search(in: branch)
        case .invalid: false
        }
    }

    /// `refs/heads/a/b` is `a/b`, `refs/tags/v1` is `v1`: what follows the second slash; nil when there is nothing.
    static func branch(of ref: String) -> String? {
        let parts = ref.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[2].isEmpty else { return nil }
        return String(Substring(parts[2]))
    }
}
