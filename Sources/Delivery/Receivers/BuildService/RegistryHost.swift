// RegistryHost: the name of a registry in the one form that is compared.
//
// Host names are compared ignoring case, `:443` is no port, and Docker Hub has one name. One registry may be known by several names
// (its own, the one of a load balancer, the one its pushing clients use): `HostAliases` maps them to the one that the objects use.

/// A registry's host, checked and normalised. Total.
enum RegistryHost {
    /// What Docker Hub is called in normalised references, as in go-containerregistry.
    static let dockerHub = "index.docker.io"

    private static let bytesMax = 261  // 255 of a host name, a colon and five digits

    /// Lower case, without `:443`, Docker Hub by its one name; nil when `text` is no `host`, `host:port` or `[IPv6]:port`.
    static func normalised(_ text: String) -> String? {
        guard (1...bytesMax).contains(text.utf8.count) else { return nil }
        var bytes = text.utf8.map(lowered)
        guard let end = endOfHost(bytes) else { return nil }
        if end < bytes.count {
            guard isPort(bytes[end...]) else { return nil }
            if bytes[end...].elementsEqual(":443".utf8) { bytes.removeSubrange(end...) }
        }
        let host = String(decoding: bytes, as: UTF8.self)
        switch host {
        // go-containerregistry knows the first alias; the second is the address that clients really talk to.
        case "docker.io", "registry-1.docker.io": return dockerHub
        default: return host
        }
    }

    /// The host up to its first dot, without port: `docker-local` of `docker-local.art.example.com`.
    static func firstLabel(_ host: String) -> Substring {
        host.prefix { $0 != "." && $0 != ":" }
    }

    /// Where the port begins, or the end; nil when no host stands before it.
    private static func endOfHost(_ bytes: [UInt8]) -> Int? {
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")), close > 2,
                bytes[1..<close].allSatisfy({
                    hexValue($0) != 0xff || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
                })
            else { return nil }
            return close + 1
        }
        let end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
        guard end > 0, bytes[..<end].allSatisfy(isHostCharacter) else { return nil }
        return end
    }

    private static func isHostCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
        (2...6).contains(bytes.count) && bytes.first == UInt8(ascii: ":")
            && bytes.dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}

/// Which hosts are another name of a registry. One step: the name that a host is mapped to is not mapped again.
public struct HostAliases: Sendable, Equatable {
    private let names: [String: String]

    /// From each other name to the one that objects use, both `host` or `host:port`; what is neither is left out.
    public init(_ table: [String: String] = [:]) {
        var names: [String: String] = [:]
        // In a fixed order, since two spellings of one host may be listed.
        for (other, name) in table.sorted(by: { $0.key < $1.key }) {
            if let other = RegistryHost.normalised(other), let name = RegistryHost.normalised(name) {
                names[other] = name
            }
        }
        self.names = names
    }

    /// The name under which a host (normalised) is compared.
    func canonical(_ host: String) -> String { names[host] ?? host }
}
