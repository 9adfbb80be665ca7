// BuildRefRule: which pushed refs a BuildConfig builds.
//
// `source.git.ref`, or `master` when it or the whole git source is missing, against the ref of the event; one leading `refs/heads/` of
// either does not count. With patterns `*` stands for any bytes and `?` for one.

struct BuildRefRule {
    /// Longer names are no refs: git keeps them as file names.
    static let refBytesMax = 4096

    /// nil when the config names no ref.
    private let want: String?
    private let hasPatterns: Bool
    /// Whether the payload's default branch stands in for a missing ref.
    private let takesDefaultBranch: Bool

    init(_ facts: BuildConfigFacts, _ profile: OpenShiftProfile) {
        let ref = facts.git?.ref ?? ""
        want = ref.isEmpty ? nil : ref
        hasPatterns = facts.options.contains(.refPatterns)
        takesDefaultBranch = profile == .grapnel && facts.git != nil
    }

    func matches(_ ref: String, defaultBranch: String? = nil) -> Bool {
        guard ref.utf8.count <= Self.refBytesMax else { return false }
        let fallback = takesDefaultBranch ? defaultBranch.flatMap { $0.isEmpty ? nil : $0 } : nil
        let wanted = Self.short(want ?? fallback ?? "master")
        let name = Self.short(ref)
        if wanted.elementsEqual(name) { return true }
        guard hasPatterns, want != nil, !name.isEmpty else { return false }
        return Self.matches(Array(wanted), Array(name))
    }

    private static func short(_ ref: String) -> Substring.UTF8View {
        let prefix = "refs/heads/"
        return ref.utf8.starts(with: prefix.utf8) ? Substring(ref).utf8.dropFirst(prefix.utf8.count) : ref[...].utf8
    }

    /// Goes back to the latest star only: at most pattern times ref steps, both short.
    private static func matches(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
        var p = 0
        var t = 0
        var star: (p: Int, t: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] || pattern[p] == UInt8(ascii: "?") {
                p += 1
                t += 1
            } else if let last = star {
                star = (last.p, last.t + 1)
                p = last.p + 1
                t = last.t + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
