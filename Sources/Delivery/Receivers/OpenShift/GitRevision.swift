// GitRevision: the commit a build is asked to check out, and who made it (build.openshift.io/v1 GitSourceRevision).

struct GitRevision: Equatable {
    struct Person: Equatable {
        var name = ""
        var email = ""

        init(name: String = "", email: String = "") {
            self.name = name
            self.email = email
        }

        /// `{name, email}`.
        init(_ object: GoObject) throws(WrongJSONType) {
            name = try object.text("name")
            email = try object.text("email")
        }

        /// `Sari Koski <sari@corp.example>`; without brackets all of it is the name.
        init(raw: String) {
            guard let open = raw.utf8.lastIndex(of: UInt8(ascii: "<")), raw.utf8.last == UInt8(ascii: ">") else {
                self.init(name: raw)
                return
            }
            let end = raw.utf8.index(before: raw.utf8.endIndex)
            var name = raw[..<open]
            while name.utf8.last == 0x20 { name = name.dropLast() }
            let start = raw.utf8.index(after: open)
            self.init(name: String(name), email: start <= end ? String(raw[start..<end]) : "")
        }

        fileprivate var json: JSONValue? {
            let members = GitRevision.members([("name", name), ("email", email)])
            return members.isEmpty ? nil : .object(members)
        }
    }

    var commit = ""
    var author = Person()
    var committer = Person()
    var message = ""

    /// A message stands in the request twice, and the Build with it in etcd, which takes 1.5 MiB.
    private static let messageBytesMax = 64 << 10

    /// `{type, git}`.
    var json: JSONValue {
        var git = Self.members([("commit", commit)])
        if let author = author.json { git.append(.init(name: "author", value: author)) }
        if let committer = committer.json { git.append(.init(name: "committer", value: committer)) }
        git += Self.members([("message", cutMessage)])
        return .object([.init(name: "type", value: "Git"), .init(name: "git", value: .object(git))])
    }

    private var cutMessage: String {
        guard message.utf8.count > Self.messageBytesMax else { return message }
        // Cut in the middle of a character the last one is replaced.
        return String(decoding: message.utf8.prefix(Self.messageBytesMax), as: UTF8.self)
    }

    private static func members(_ texts: [(name: String, text: String)]) -> [JSONValue.Member] {
        texts.filter { !$0.text.isEmpty }.map { .init(name: $0.name, value: .string($0.text)) }
    }

    /// Whether a commit id says that there is no commit: all zeros, as after a deletion.
    static func isZero(_ commit: String) -> Bool {
        !commit.isEmpty && commit.utf8.allSatisfy { $0 == UInt8(ascii: "0") }
    }
}
