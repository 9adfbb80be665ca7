// IPAddress: an IPv4 or IPv6 address as 16 bytes, read from text, and what it leads to.
//
// IPv4 is kept as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2), so that one comparison serves both. Addresses that carry an IPv4 one
// inside (mapped, compatible, NAT64 of RFC 6052, 6to4 of RFC 3056) are judged by the one inside as well: a kernel or gateway may unpack them.

/// A network address without port and zone.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// Network byte order.
    public let bytes: [UInt8]

    private static let mappedPrefix: [UInt8] = Array(repeating: 0, count: 10) + [0xff, 0xff]

    /// 4 or 16 bytes in network order; nil for another count.
    public init?(_ bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.bytes = Self.mappedPrefix + bytes
        case 16: self.bytes = bytes
        default: return nil
        }
    }

    /// Dotted decimal with four parts, or RFC 4291 section 2.2, without brackets and zone. Other spellings that old C functions take
    /// (`127.1`, `0x7f000001`) are none.
    public init?(_ text: String) {
        guard text.utf8.count <= 45, let bytes = Self.v4(text[...]) ?? Self.v6(text) else { return nil }
        self.init(bytes)
    }

    private static func v4(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            let digits = part.utf8
            guard (1...3).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
                digits.count == 1 || digits.first != 0x30, let value = UInt8(part)
            else { return nil }
            bytes.append(value)
        }
        return bytes
    }

    private static func v6(_ text: String) -> [UInt8]? {
        guard text.contains(":") else { return nil }
        let halves = text.ranges(of: "::")
        guard halves.count <= 1 else { return nil }
        guard let gap = halves.first else {
            let bytes = groups(text[...], isLast: true)
            return bytes?.count == 16 ? bytes : nil
        }
        guard let head = groups(text[..<gap.lowerBound], isLast: false),
            let tail = groups(text[gap.upperBound...], isLast: true), head.count + tail.count <= 14
        else { return nil }
        return head + Array(repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring, isLast: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, part.contains(".") {
                guard let v4 = v4(part) else { return nil }
                bytes += v4
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ hexValue($0) != 0xff }),
                let value = UInt16(part, radix: 16)
            else { return nil }
            bytes += [UInt8(value >> 8), UInt8(value & 0xff)]
        }
        return bytes
    }

    public var isV4: Bool { bytes.starts(with: Self.mappedPrefix) }

    /// `192.0.2.1`, or eight groups: for messages, and for functions that read either.
    public var description: String {
        if isV4 { return bytes.suffix(4).map(String.init).joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2).map { index in
            String(UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]), radix: 16)
        }.joined(separator: ":")
    }

    /// Why nobody but the operator may have this server call that address; nil: it is an address like any other.
    public var danger: String? {
        if let inner = embeddedV4 { return Self.danger(v4: inner) }
        if bytes.dropLast().allSatisfy({ $0 == 0 }), (bytes.last ?? 0) <= 1 { return "leads to this machine" }
        if bytes[0] == 0xfe, bytes[1] & 0xc0 == 0x80 { return "is link-local" }
        // Amazon's and Google's metadata services.
        if [Self("fd00:ec2::254"), Self("fd20:ce::254")].contains(self) { return "is a cloud's metadata service" }
        return nil
    }

    private static func danger(v4: ArraySlice<UInt8>) -> String? {
        let bytes = Array(v4)
        switch bytes[0] {
        // 0.0.0.0 connects to this machine.
        case 127, 0: return "leads to this machine"
        case 169 where bytes[1] == 254:
            return bytes == [169, 254, 169, 254] ? "is a cloud's metadata service" : "is link-local"
        case 100 where bytes == [100, 100, 100, 200]: return "is a cloud's metadata service"
        default: return nil
        }
    }

    /// The IPv4 address inside; nil where there is none. `::` and `::1` have none.
    private var embeddedV4: ArraySlice<UInt8>? {
        if isV4 { return bytes.suffix(4) }
        if bytes.starts(with: [0, 0x64, 0xff, 0x9b] + Array(repeating: 0, count: 8)) { return bytes.suffix(4) }
        if bytes.starts(with: [0x20, 0x02]) { return bytes[2..<6] }
        if bytes.prefix(12).allSatisfy({ $0 == 0 }), bytes[12...].dropLast().contains(where: { $0 != 0 }) {
            return bytes.suffix(4)
        }
        return nil
    }
}

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
public struct IPNetwork: Sendable, Hashable {
    private let base: IPAddress
    /// Of the 128 bits.
    private let prefixBits: Int

    /// nil when the text is none, or has bits behind the prefix: `10.1.0.0/8` is more likely a slip than a wish.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let base = IPAddress(String(first)) else { return nil }
        var bits = 128
        if parts.count == 2 {
            let digits = parts[1]
            guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let count = Int(digits), count <= (first.contains(":") ? 128 : 32)
            else { return nil }
            bits = first.contains(":") ? count : 96 + count
        }
        for bit in bits..<128 where base.bytes[bit / 8] & (0x80 >> UInt8(bit % 8)) != 0 { return nil }
        self.base = base
        self.prefixBits = bits
    }

    public func contains(_ address: IPAddress) -> Bool {
        // A range of all of IPv6 does not mean IPv4, which lies within it only in this type's own form.
        guard address.isV4 == base.isV4 else { return false }
        return (0..<prefixBits).allSatisfy { bit in
            (address.bytes[bit / 8] ^ base.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
        }
    }
}
