// ImageReference: the name of a container image, parsed as kpack parses it and brought into the one form that is compared.
//
// Source of truth: google/go-containerregistry, pkg/name. Its rule for the host: the first of several components is one when it holds
// `.` or `:` or is `localhost`. Beyond it: hosts are lower case, `:443` is dropped, `registry-1.docker.io` is Docker Hub too, and
// aliases apply.

/// A parsed reference. Two references mean the same image when `name` and `tag` are equal.
public struct ImageReference: Sendable, Hashable, CustomStringConvertible {
    /// Normalised and with aliases applied: `registry.example.com:5000`, `index.docker.io`.
    public let host: String
    /// `library/ubuntu`, `stack/run`. Case-sensitive.
    public let repository: String
    /// nil where only a digest was written; `latest` where nothing was.
    public let tag: String?
    /// `sha256:` and 64 hexadecimal digits, or another algorithm's.
    public let digest: String?

    /// Longer texts are none: 255 bytes of host, 255 of repository, 128 of tag, a digest.
    static let bytesMax = 1_024

    /// Parses a reference as it is written in an object; nil when kpack could not read it either.
    public init?(_ text: String, aliases: HostAliases = HostAliases()) {
        guard text.utf8.count <= Self.bytesMax else { return nil }
        var rest = text.utf8[...]
        var digest: String?
        if let at = rest.firstIndex(of: UInt8(ascii: "@")) {
            digest = String(Substring(rest[rest.index(after: at)...]))
            rest = rest[..<at]
        }
        var tag: String?
        if let colon = rest.lastIndex(of: UInt8(ascii: ":")), !rest[colon...].contains(UInt8(ascii: "/")) {
            tag = String(Substring(rest[rest.index(after: colon)...]))
            rest = rest[..<colon]
        }
        // `name:` is read as `name`.
        if tag?.isEmpty ?? true { tag = digest == nil ? "latest" : nil }
        var host = RegistryHost.dockerHub
        if let slash = rest.firstIndex(of: UInt8(ascii: "/")), Self.isHost(rest[..<slash]) {
            host = String(Substring(rest[..<slash]))
            rest = rest[rest.index(after: slash)...]
        }
        self.init(host: host, repository: String(Substring(rest)), tag: tag, digest: digest, aliases: aliases)
    }

    /// From parts that a sender gave apart from each other; nil when one of them is not what it should be.
    public init?(
        host: String, repository: String, tag: String?, digest: String? = nil, aliases: HostAliases = HostAliases()
    ) {
        guard let host = RegistryHost.normalised(host), Self.isRepository(repository) else { return nil }
        if let tag, !Self.isTag(tag) { return nil }
        if let digest, !Self.isDigest(digest) { return nil }
        self.host = aliases.canonical(host)
        self.repository =
            self.host == RegistryHost.dockerHub && !repository.utf8.contains(UInt8(ascii: "/"))
            ? "library/" + repository : repository
        self.tag = tag
        self.digest = digest
    }

    /// Whether a digest fixes the content, with or without a tag beside it: no push can change what such a reference means.
    public var isPinned: Bool { digest != nil }

    /// Host and repository: `index.docker.io/library/ubuntu`.
    public var name: String { host + "/" + repository }

    /// The whole: `index.docker.io/library/ubuntu:22.04`.
    public var description: String {
        name + (tag.map { ":" + $0 } ?? "") + (digest.map { "@" + $0 } ?? "")
    }

    private static func isHost(_ component: Substring.UTF8View) -> Bool {
        component.contains(UInt8(ascii: ".")) || component.contains(UInt8(ascii: ":"))
            || component.elementsEqual("localhost".utf8)
    }

    /// 2 to 255 bytes of `a-z0-9_-./`, no empty component.
    private static func isRepository(_ text: String) -> Bool {
        guard (2...255).contains(text.utf8.count) else { return false }
        var last = UInt8(ascii: "/")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "-"), UInt8(ascii: "."):
                break
            case UInt8(ascii: "/"): if last == byte { return false }
            default: return false
            }
            last = byte
        }
        return last != UInt8(ascii: "/")
    }

    /// 1 to 128 bytes of `A-Za-z0-9_-.`.
    static func isTag(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                isLetterOrDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
            }
    }

    /// `sha256:` and 64 lower-case digits; of other algorithms only the form is looked at (OCI image specification, descriptor).
    static func isDigest(_ text: String) -> Bool {
        guard text.utf8.count <= 256, let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let algorithm = text.utf8[..<colon]
        let encoded = text.utf8[text.utf8.index(after: colon)...]
        if algorithm.elementsEqual("sha256".utf8) {
            return encoded.count == 64 && encoded.allSatisfy { hexValue($0) != 0xff && lowered($0) == $0 }
        }
        return !algorithm.isEmpty && encoded.count >= 32
            && algorithm.allSatisfy { isLetterOrDigit($0) || "+._-".utf8.contains($0) }
            && encoded.allSatisfy { isLetterOrDigit($0) || "=_-".utf8.contains($0) }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lowered(byte))
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
