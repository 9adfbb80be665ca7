// Authority: `uri-host [ ":" port ]` of a Host field or of an absolute-form target (RFC 3986 section 3.2).

enum Authority {
    /// Where the authority of an absolute-form target begins: behind `http://` or `https://`, in any case.
    static func start(_ bytes: HeadBytes, from start: Int, to end: Int) throws(HTTPParseError) -> Int {
        if end &- start > 7, bytes.equalIgnoringCase(at: start, "http"), bytes.equal(at: start &+ 4, "://") {
            return start &+ 7
        }
        if end &- start > 8, bytes.equalIgnoringCase(at: start, "https"), bytes.equal(at: start &+ 5, "://") {
            return start &+ 8
        }
        throw .invalidTarget
    }

    /// Index behind the host of the authority `bytes[start ..< end]`, or nil when it is not one: empty host, user
    /// information, a port that is no number up to 65535 (an empty one is allowed), characters that no host has.
    @inline(__always)
    static func hostEnd(_ bytes: HeadBytes, from start: Int, to end: Int) -> Int? {
        if start < end, VectorScan.skipPlain(bytes, from: start, to: end) == end { return end }
        return uncommonHostEnd(bytes, from: start, to: end)
    }

    private static func uncommonHostEnd(_ bytes: HeadBytes, from start: Int, to end: Int) -> Int? {
        guard start < end else { return nil }
        var index = start
        if bytes[start] == ASCII.openingBracket {
            index &+= 1
            while index < end, bytes[index] != ASCII.closingBracket { index &+= 1 }
            guard index < end, isIPv6Address(bytes, from: start &+ 1, to: index) else { return nil }
            index &+= 1
        } else {
            while index < end, bytes[index] != ASCII.colon {
                if bytes[index] == ASCII.percent {
                    guard index &+ 2 < end, isHexDigit(bytes[index &+ 1]), isHexDigit(bytes[index &+ 2]) else {
                        return nil
                    }
                    index &+= 3
                } else {
                    guard isRegisteredNameCharacter(bytes[index]) else { return nil }
                    index &+= 1
                }
            }
            guard index > start else { return nil }
        }
        return isPort(bytes, from: index, to: end) ? index : nil
    }

    /// Nothing, or a colon and at most a number up to 65535.
    private static func isPort(_ bytes: HeadBytes, from start: Int, to end: Int) -> Bool {
        if start == end { return true }
        guard bytes[start] == ASCII.colon else { return false }
        var port = 0
        for index in start &+ 1..<end {
            guard isDigit(bytes[index]) else { return false }
            port = port &* 10 &+ Int(bytes[index] &- ASCII.zero)
            guard port <= 65535 else { return false }
        }
        return true
    }

    /// IPv6address of RFC 3986: eight groups of up to four hex digits, one run of them shortened to `::`, the last two
    /// perhaps as an IPv4 address. No zone, no IPvFuture.
    private static func isIPv6Address(_ bytes: HeadBytes, from start: Int, to end: Int) -> Bool {
        var groups = 0
        var isShortened = false
        var index = start
        if index &+ 1 < end, bytes[index] == ASCII.colon {
            guard bytes[index &+ 1] == ASCII.colon else { return false }
            isShortened = true
            index &+= 2
        }
        while index < end {
            let groupStart = index
            while index < end, index &- groupStart < 4, isHexDigit(bytes[index]) { index &+= 1 }
            guard index > groupStart else { return false }
            if index < end, bytes[index] == ASCII.dot {
                guard isIPv4Address(bytes, from: groupStart, to: end) else { return false }
                groups &+= 2
                index = end
                break
            }
            groups &+= 1
            if index == end { break }
            guard bytes[index] == ASCII.colon, index &+ 1 < end else { return false }
            index &+= 1
            if bytes[index] == ASCII.colon {
                guard !isShortened else { return false }
                isShortened = true
                index &+= 1
            }
        }
        return isShortened ? groups <= 7 : groups == 8
    }

    /// Four numbers up to 255 without leading zeros, joined by full stops.
    private static func isIPv4Address(_ bytes: HeadBytes, from start: Int, to end: Int) -> Bool {
        var index = start
        for part in 0..<4 {
            if part > 0 {
                guard index < end, bytes[index] == ASCII.dot else { return false }
                index &+= 1
            }
            let partStart = index
            var value = 0
            while index < end, index &- partStart < 3, isDigit(bytes[index]) {
                value = value &* 10 &+ Int(bytes[index] &- ASCII.zero)
                index &+= 1
            }
            guard index > partStart, value <= 255 else { return false }
            if bytes[partStart] == ASCII.zero, index &- partStart > 1 { return false }
        }
        return index == end
    }
}
