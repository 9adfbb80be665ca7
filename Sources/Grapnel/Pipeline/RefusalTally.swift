// RefusalTally: what one loop refused since somebody asked. Fixed size, so that a flood costs the loop neither memory nor a wait.
//
// Beside the counts, a few requests are kept as samples: when, from where, the names of the header fields, size and digest of the body.
// A route has at most `samplesPerRouteMax` of the `samplesMax` between two takes, so that one route's flood leaves room for others.

internal import CCrypto
internal import Delivery
internal import Synchronization

/// Refused deliveries of one loop. Noted on its thread, taken by RefusalReporter.
final class RefusalTally: Sendable {
    /// A route's refusals for one cause.
    struct Entry {
        /// Kept as they are in the loop: names are looked up by whoever takes them.
        let table: RouteTable
        let route: Int
        let cause: VerifyCause
        var count: UInt64
    }

    /// One refused request.
    struct Sample {
        let table: RouteTable
        let route: Int
        let cause: VerifyCause
        /// Nanoseconds since 1970.
        let at: UInt64
        /// An IPv6 address in network order; IPv4 is mapped.
        let source: (UInt64, UInt64)
        let bodyBytes: Int
        let hasDigest: Bool
        let digest: (UInt64, UInt64, UInt64, UInt64)
        /// Bytes of the names, from `index * namesBytesMax` of `Taken.names`: each followed by a line feed.
        let namesBytes: Int
    }

    struct Taken {
        var entries: [Entry]
        var samples: [Sample]
        var names: [UInt8]
    }

    /// Pairs of route and cause that are told apart between two takes; further ones are in the metrics alone.
    static let capacity = 64
    static let samplesMax = 32
    static let samplesPerRouteMax = 8
    static let namesBytesMax = 768
    /// Larger bodies are not digested on the loop.
    static let digestBytesMax = 64 << 10

    private let noted: Mutex<Taken>

    init() { noted = Mutex(Self.room()) }

    private static func room() -> Taken {
        var room = Taken(entries: [], samples: [], names: Array(repeating: 0, count: samplesMax * namesBytesMax))
        room.entries.reserveCapacity(capacity)
        room.samples.reserveCapacity(samplesMax)
        return room
    }

    /// The loop. Never waits: while the entries are being taken a refusal goes unnoted. True when there is room for a sample.
    func note(_ table: RouteTable, _ route: Int, _ cause: VerifyCause) -> Bool {
        noted.withLockIfAvailable { noted in
            let wantsSample = Self.hasRoom(noted, table, route)
            for index in noted.entries.indices
            where noted.entries[index].route == route && noted.entries[index].cause == cause
                && noted.entries[index].table === table
            {
                noted.entries[index].count += 1
                return wantsSample
            }
            if noted.entries.count < Self.capacity {
                noted.entries.append(Entry(table: table, route: route, cause: cause, count: 1))
            }
            return wantsSample
        } ?? false
    }

    private static func hasRoom(_ noted: borrowing Taken, _ table: RouteTable, _ route: Int) -> Bool {
        guard noted.samples.count < samplesMax else { return false }
        var own = 0
        for index in noted.samples.indices where noted.samples[index].route == route { own += 1 }
        return own < samplesPerRouteMax
    }

    /// The loop, behind a `note` that said there is room. Copies; allocates nothing.
    func sample(
        _ table: RouteTable, _ route: Int, _ cause: VerifyCause, at: UInt64, source: (UInt64, UInt64),
        head: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
    ) {
        _ = noted.withLockIfAvailable { noted in
            guard noted.samples.count < Self.samplesMax else { return }
            var digest: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
            let hasDigest = body.count <= Self.digestBytesMax
            if hasDigest {
                // Sound: a SHA-256 has the 32 bytes of `digest`; the body is read, no more.
                unsafe withUnsafeMutableBytes(of: &digest) { digest in
                    unsafe cc_sha256(
                        body.baseAddress, body.count, digest.baseAddress!.assumingMemoryBound(to: UInt8.self))
                }
            }
            let begin = noted.samples.count * Self.namesBytesMax
            let names = unsafe Self.copyNames(head, into: &noted.names, from: begin)
            noted.samples.append(
                Sample(
                    table: table, route: route, cause: cause, at: at, source: source, bodyBytes: body.count,
                    hasDigest: hasDigest, digest: digest, namesBytes: names))
        }
    }

    /// Everything in front of the first colon of each line behind the request line, as far as there is room. Gives the bytes written.
    private static func copyNames(
        _ head: UnsafeRawBufferPointer, into names: inout [UInt8], from begin: Int
    ) -> Int {
        var index = 0
        while index < head.count, unsafe head[index] != 0x0a { index += 1 }
        index += 1
        var written = 0
        while index < head.count {
            let start = index
            while index < head.count, unsafe head[index] != UInt8(ascii: ":") && head[index] != 0x0a { index += 1 }
            guard index < head.count, unsafe head[index] == UInt8(ascii: ":") else { break }
            let count = index - start
            guard written + count + 1 <= namesBytesMax else { break }
            for offset in 0..<count { names[begin + written + offset] = unsafe head[start + offset] }
            names[begin + written + count] = 0x0a
            written += count + 1
            while index < head.count, unsafe head[index] != 0x0a { index += 1 }
            index += 1
        }
        return written
    }

    /// Everything noted since the last call. Any thread.
    func take() -> Taken {
        var room = Self.room()
        return noted.withLock { noted in
            swap(&noted, &room)
            return room
        }
    }
}

extension RefusalTally.Taken {
    /// The samples with texts of their own, by route.
    var requests: [(route: RouteIdentity, request: RefusedRequest)] {
        samples.enumerated().map { index, sample in
            let begin = index * RefusalTally.namesBytesMax
            let names = names[begin..<begin + sample.namesBytes].split(separator: 0x0a)
                .map { String(decoding: $0, as: UTF8.self) }
            var digest = sample.digest
            // Sound: the four integers are the digest's bytes as they were written.
            let bytes = unsafe withUnsafeBytes(of: &digest) { unsafe Array($0) }
            return (
                sample.table.definitions[sample.route].identity,
                RefusedRequest(
                    at: sample.at, source: Self.text(sample.source), cause: sample.cause, headerNames: names,
                    bodyBytes: sample.bodyBytes,
                    bodySHA256: sample.hasDigest
                        ? bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() : nil)
            )
        }
    }

    private static func text(_ source: (UInt64, UInt64)) -> String {
        var source = source
        // Sound: both integers are the address's bytes as the kernel wrote them.
        let bytes = unsafe withUnsafeBytes(of: &source) { unsafe Array($0) }
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
            return bytes[12...].map(String.init).joined(separator: ".")
        }
        return stride(from: 0, to: 16, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }.joined(separator: ":")
    }
}
