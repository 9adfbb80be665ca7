// RepositoryName: which repository a URL names, however it is written. Keys the index from repositories to what follows them.
//
//     https://git.example.com/team/app.git      ssh://git@git.example.com:22/team/app      git@git.example.com:team/app.git
//
// are one name: host `git.example.com`, path `team/app`. What does not tell repositories apart is dropped: scheme, user, password, the
// scheme's own port, query and fragment, slashes around the path, `.git`. A port of its own stays: another server may listen there.
//
// Paths keep their case, as on most servers: there `App` and `app` may be two repositories. The hosts in `caselessHosts` serve one
// repository under every spelling, so their paths are compared in lower case. Percent escapes are not decoded: hosting services allow
// no name that needs one.
//
// Sources: git-fetch(1) "GIT URLS", RFC 3986 section 3.

/// A repository's host and path. Equal for all URLs of one repository. Total, one pass, bounded by `bytesMax`.
public struct RepositoryName: Hashable, Sendable, CustomStringConvertible {
    /// Lower case, without user; with `:port` unless it is the scheme's own. An IPv6 address keeps its brackets.
    public let host: String
    /// Without slashes at its ends and without `.git`; never empty.
    public let path: String

    /// Longer texts name no repository.
    public static let bytesMax = 4096

    /// Hosting services that ignore the case of a repository's path.
    public static let caselessHosts: Set<String> = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"]

    /// Other names of the same service: SSH over the port of HTTPS, for networks that block 22.
    private static let aliases = [
        "ssh.github.com:443": "github.com", "www.github.com": "github.com", "altssh.gitlab.com:443": "gitlab.com",
        "altssh.bitbucket.org:443": "bitbucket.org",
    ]

    /// nil when `url` names no repository on a host: empty, a local path, another scheme, no path.
    public init?(url: String) {
        let bytes = url.utf8
        guard bytes.count <= Self.bytesMax, !bytes.isEmpty, bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            return nil
        }
        guard let (authority, path, port) = Self.split(Substring(url).utf8) else { return nil }
        guard var host = Self.host(authority, withoutPort: port), let trimmed = Self.trimmed(path) else { return nil }
        if let service = Self.aliases[host] { host = service }
        self.host = host
        let text = String(Substring(trimmed))
        self.path = Self.caselessHosts.contains(host) ? text.lowercased() : text
    }

    public var description: String { "\(host)/\(path)" }

    /// Authority, path and the scheme's own port.
    private static func split(
        _ url: Substring.UTF8View
    ) -> (authority: Substring.UTF8View, path: Substring.UTF8View, port: String)? {
        guard let colon = url.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let rest = url[url.index(after: colon)...]
        if rest.starts(with: "//".utf8) {
            guard let port = ports[String(Substring(url[..<colon])).lowercased()] else { return nil }
            let tail = rest.dropFirst(2)
            guard let slash = tail.firstIndex(of: UInt8(ascii: "/")) else { return nil }
            return (tail[..<slash], tail[slash...], port)
        }
        // scp form: `user@host:path`. With a slash before the colon it is a local path.
        if url.first == UInt8(ascii: "[") || url[..<colon].contains(UInt8(ascii: "[")) {
            guard let end = url.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let after = url.index(after: end)
            guard after < url.endIndex, url[after] == UInt8(ascii: ":"),
                !url[..<after].contains(UInt8(ascii: "/"))
            else { return nil }
            return (url[..<after], url[url.index(after: after)...], "22")
        }
        guard !url[..<colon].contains(UInt8(ascii: "/")) else { return nil }
        return (url[..<colon], rest, "22")
    }

    private static let ports = [
        "https": "443", "http": "80", "ssh": "22", "git": "9418", "git+ssh": "22", "ssh+git": "22",
    ]

    /// Lower-case host of an authority, with its port unless that is `withoutPort`.
    private static func host(_ authority: Substring.UTF8View, withoutPort usual: String) -> String? {
        var rest = authority
        // The last `@`: a password may hold one.
        if let at = rest.lastIndex(of: UInt8(ascii: "@")) { rest = rest[rest.index(after: at)...] }
        var name = rest
        var port: Substring.UTF8View?
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let after = rest.index(after: end)
            name = rest[..<after]
            if after < rest.endIndex {
                guard rest[after] == UInt8(ascii: ":") else { return nil }
                port = rest[rest.index(after: after)...]
            }
            guard name.count > 2 else { return nil }
        } else if let colon = rest.firstIndex(of: UInt8(ascii: ":")) {
            name = rest[..<colon]
            port = rest[rest.index(after: colon)...]
        }
        // A dot at the end says that the name is complete: `example.com.` is `example.com`.
        if name.last == UInt8(ascii: ".") { name = name.dropLast() }
        guard isHost(name) else { return nil }
        let host = String(Substring(name)).lowercased()
        guard let port, !port.isEmpty else { return host }
        guard port.count <= 5, port.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        var digits = port.drop { $0 == 0x30 }
        if digits.isEmpty { digits = port.suffix(1) }
        let number = String(Substring(digits))
        return number == usual ? host : "\(host):\(number)"
    }

    /// Letters (of any script), digits, `-`, `_` and dots, a letter or digit first; or an address in brackets.
    private static func isHost(_ bytes: Substring.UTF8View) -> Bool {
        func isLetterOrDigit(_ byte: UInt8) -> Bool { lowered(byte) &- 0x61 < 26 || byte &- 0x30 < 10 || byte >= 0x80 }
        guard let first = bytes.first else { return false }
        if first == UInt8(ascii: "[") {
            return bytes.dropFirst().dropLast().allSatisfy { isLetterOrDigit($0) || ":.%".utf8.contains($0) }
        }
        return isLetterOrDigit(first) && bytes.allSatisfy { isLetterOrDigit($0) || "-._".utf8.contains($0) }
    }

    /// The path without query, fragment, slashes at its ends and one `.git`; nil when nothing is left.
    private static func trimmed(_ path: Substring.UTF8View) -> Substring.UTF8View? {
        let slash = UInt8(ascii: "/")
        var rest = path.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        rest = rest.drop { $0 == slash }
        while rest.last == slash { rest = rest.dropLast() }
        if rest.count >= 4, rest.suffix(4).elementsEqual(".git".utf8) {
            rest = rest.dropLast(4)
            while rest.last == slash { rest = rest.dropLast() }
        }
        return rest.isEmpty ? nil : rest
    }
}
