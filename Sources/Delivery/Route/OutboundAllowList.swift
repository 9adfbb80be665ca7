// OutboundAllowList: which hosts `http` actions may call (setting `outbound.allow`).
//
//     hooks.example.org    that host            10.0.0.7, 2001:db8::7    that address
//     *.example.org        its subdomains       10.0.0.0/8               the addresses of that range
//
// Judged twice: the URL when a Hook is compiled, and each address that the name leads to right before the call connects to it. Names
// permit whatever they resolve to; addresses permit whatever resolves to them. What a tenant of a cluster wrote may never reach this
// machine, its link or a metadata service, whatever is listed.

/// Why a call may not be made; for operators.
public struct OutboundRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

public struct OutboundAllowList: Sendable, Equatable {
    private var names: Set<String> = []
    /// With their leading dot.
    private var suffixes: [String] = []
    private var networks: [IPNetwork] = []

    public var isEmpty: Bool { names.isEmpty && suffixes.isEmpty && networks.isEmpty }

    /// Everything: what is not listed is not restricted, for the operator's own manifests.
    public init() {}

    /// The list, and each entry that is none, with the reason.
    public static func read(_ entries: [String]) -> (list: OutboundAllowList, wrong: [(index: Int, reason: String)]) {
        var list = OutboundAllowList()
        var wrong: [(index: Int, reason: String)] = []
        for (index, entry) in entries.enumerated() {
            if let reason = list.add(entry) { wrong.append((index, reason)) }
        }
        return (list, wrong)
    }

    private mutating func add(_ entry: String) -> String? {
        let text = Self.bare(entry)
        if let network = IPNetwork(text) {
            networks.append(network)
            return nil
        }
        if text.contains("/") || text.contains(":") {
            return
                "must be a host name, *.suffix, an IP address or a range such as 10.0.0.0/8, without scheme, port and path"
        }
        if text.hasPrefix("*.") {
            let suffix = String(text.dropFirst())
            guard Self.isName(suffix.dropFirst()) else { return "must be * and a domain: *.example.org" }
            suffixes.append(suffix)
            return nil
        }
        guard Self.isName(text[...]) else {
            return "must be a host name, *.suffix, an IP address or a range such as 10.0.0.0/8"
        }
        // `127.1` is a name to this server and an address to the resolver.
        if Self.isNumeric(text) { return "must be an IP address in full: four numbers" }
        names.insert(text)
        return nil
    }

    /// What is wrong with a host of a URL before its name is resolved; nil: nothing, or only its addresses can tell.
    ///
    /// - Parameter isResolvedElsewhere: a proxy resolves the name, so that it must be listed itself.
    public func refusal(
        host: String, isOfTenant: Bool, isResolvedElsewhere: Bool = false
    ) -> OutboundRefusal? {
        let text = Self.bare(host)
        if let address = IPAddress(text) { return refusal(address, host: host, isOfTenant: isOfTenant) }
        if isEmpty {
            return isOfTenant
                ? OutboundRefusal(
                    "an http action of a Hook from a cluster may call hosts of the setting outbound.allow only, which lists none"
                )
                : nil
        }
        if isNamed(text) || !networks.isEmpty && !isResolvedElsewhere { return nil }
        return OutboundRefusal("the setting outbound.allow does not list \(Self.shown(host))")
    }

    /// What is wrong with an address that `host` leads to; nil: it may be called.
    public func refusal(_ address: IPAddress, host: String, isOfTenant: Bool) -> OutboundRefusal? {
        if isOfTenant, let danger = address.danger {
            return OutboundRefusal(
                "\(Self.shown(host)) \(danger) (\(address)), which an http action of a Hook from a cluster may not call"
            )
        }
        if isEmpty {
            return isOfTenant ? OutboundRefusal("the setting outbound.allow lists no host") : nil
        }
        if isNamed(Self.bare(host)) || networks.contains(where: { $0.contains(address) }) { return nil }
        if IPAddress(Self.bare(host)) == address {
            return OutboundRefusal("the setting outbound.allow does not list \(address)")
        }
        return OutboundRefusal(
            "the setting outbound.allow lists neither \(Self.shown(host)) nor its address \(address)")
    }

    private func isNamed(_ host: String) -> Bool {
        names.contains(host) || suffixes.contains { host.hasSuffix($0) && host.utf8.count > $0.utf8.count }
    }

    /// As it is compared: lower case, without brackets and the root's dot.
    private static func bare(_ host: String) -> String {
        var text = host.lowercased()[...]
        if text.hasPrefix("["), text.hasSuffix("]") { text = text.dropFirst().dropLast() }
        if text.hasSuffix("."), text.utf8.count > 1 { text = text.dropLast() }
        return String(text)
    }

    private static func isName(_ text: Substring) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count)
                    && label.utf8.allSatisfy {
                        (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x5f
                    }
            }
    }

    /// Whether inet_aton (3) would take the text for an address: its last label is a number.
    private static func isNumeric(_ text: String) -> Bool {
        guard let last = text.split(separator: ".").last else { return false }
        return last.utf8.first.map { (0x30...0x39).contains($0) } ?? false
            && last.utf8.allSatisfy { hexValue($0) != 0xff || $0 == 0x78 }
    }

    private static func shown(_ host: String) -> String { String(host.prefix(253)) }
}
