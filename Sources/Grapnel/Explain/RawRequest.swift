// RawRequest: a request as somebody kept it in a file, read with the server's own parser.
//
// Files come from editors, `curl -v`, proxies' logs and packet dumps, so three things are forgiven that a server refuses, each with a
// note: lines that end with LF alone, a missing empty line at the end, and a body whose length is not what the head says. Everything
// else is judged as on the wire.

import Delivery
import HTTP

struct RawRequest: Sendable {
    enum Failure: Error, Equatable {
        /// Nothing but blanks.
        case empty
        /// The server refuses it before anybody asks what it wants.
        case refused(HTTPParseError)
    }

    /// The head as on the wire, then the body, decoded of chunks.
    private(set) var bytes: [UInt8]
    let head: RequestHead
    let fields: [HeaderField]
    /// What was forgiven.
    let notes: [String]

    var body: ArraySlice<UInt8> { bytes[head.headBytes...] }
    var bodyBytes: Int { bytes.count - head.headBytes }

    static func parse(_ file: [UInt8], limits: RequestLimits = RequestLimits()) throws(Failure) -> RawRequest {
        guard file.contains(where: { $0 > 0x20 }) else { throw .empty }
        var notes: [String] = []
        let (wire, rest) = split(file, &notes)
        var table = [HeaderField](repeating: .empty, count: limits.fieldCountMax + 1)
        let head = try readHead(wire, &table, limits)
        let body = try readBody(Array(file[rest...]), head, limits, &notes)
        return RawRequest(
            bytes: Array(wire.prefix(head.headBytes)) + body, head: head, fields: Array(table.prefix(head.fieldCount)),
            notes: notes)
    }

    // MARK: - Head

    /// The head with CRLF at the end of each line and the empty line behind it, and where the body begins in the file.
    private static func split(_ file: [UInt8], _ notes: inout [String]) -> (wire: [UInt8], rest: Int) {
        var wire: [UInt8] = []
        var isForgiven = false
        var lineStart = 0
        var index = 0
        while index < file.count {
            guard file[index] == 0x0a else {
                index += 1
                continue
            }
            let hasReturn = index > lineStart && file[index - 1] == 0x0d
            let line = file[lineStart..<(hasReturn ? index - 1 : index)]
            wire += line + [0x0d, 0x0a]
            if !hasReturn { isForgiven = true }
            index += 1
            lineStart = index
            if line.isEmpty, wire.count > 2 {
                if isForgiven { notes.append("the head's lines end with LF; they are read as CRLF") }
                return (wire, index)
            }
        }
        if lineStart < file.count { wire += file[lineStart...] + [0x0d, 0x0a] }
        notes.append("the file ends without the empty line behind the head; it is read as if it were there")
        return (wire + [0x0d, 0x0a], file.count)
    }

    private static func readHead(
        _ wire: [UInt8], _ table: inout [HeaderField], _ limits: RequestLimits
    ) throws(Failure) -> RequestHead {
        var parser = HeadParser()
        // Sound: the parser writes no more fields than the table has.
        let result = unsafe wire.withUnsafeBytes { bytes in
            unsafe table.withUnsafeMutableBufferPointer { table in
                Result { () throws(HTTPParseError) in
                    try unsafe parser.parse(bytes, fields: table, limits: limits)
                }
            }
        }
        switch result {
        case .success(.head(let head)): return head
        case .success(.needMoreBytes): throw .refused(.malformedRequestLine)
        case .failure(let error): throw .refused(error)
        }
    }

    // MARK: - Body

    private static func readBody(
        _ rest: [UInt8], _ head: RequestHead, _ limits: RequestLimits, _ notes: inout [String]
    ) throws(Failure) -> [UInt8] {
        switch head.framing {
        case .none:
            if !rest.isEmpty {
                notes.append(
                    "neither Content-Length nor Transfer-Encoding: the rest of the file (\(rest.count) bytes) is taken as "
                        + "the body; a server takes none")
            }
            return rest
        case .length(let count):
            if rest.count < count {
                notes.append(
                    "Content-Length is \(count), the file has \(rest.count) bytes of body: it is taken as it is; a server "
                        + "waits for the rest")
            }
            if rest.count > count {
                notes.append(
                    "Content-Length is \(count), the file has \(rest.count - count) bytes more, which are left out "
                        + "(did an editor add a line break?)")
            }
            return Array(rest.prefix(count))
        case .chunked:
            var body = [UInt8](repeating: 0, count: rest.count)
            var decoder = ChunkedDecoder(limits: limits)
            // Sound: a body never grows when it is decoded, so it fits what was allocated.
            let result = unsafe rest.withUnsafeBytes { source in
                unsafe body.withUnsafeMutableBytes { target in
                    Result { () throws(HTTPParseError) in
                        guard let base = target.baseAddress else {
                            return ChunkProgress(consumed: 0, produced: 0, isComplete: false)
                        }
                        return try unsafe decoder.decode(from: source, into: base, capacity: target.count)
                    }
                }
            }
            switch result {
            case .success(let progress):
                if !progress.isComplete {
                    notes.append(
                        "the chunked body is not complete: what is there is taken; a server waits for the rest")
                } else if progress.consumed < rest.count {
                    notes.append("\(rest.count - progress.consumed) bytes behind the last chunk are left out")
                }
                return Array(body.prefix(progress.produced))
            case .failure(let error):
                guard error == .invalidChunkSize else { throw .refused(error) }
                notes.append(
                    "Transfer-Encoding is chunked, but the body is not: it is taken as it stands. Sent like this it would "
                        + "be answered \(error.status) (\(error.name))")
                return rest
            }
        }
    }

    // MARK: - Views

    /// Lends the head as the senders' rules read it.
    func withView<Value>(_ body: (HeadView) -> Value) -> Value {
        // Sound: the ranges are those of these bytes, and both buffers live during the call. A head is never empty.
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe fields.withUnsafeBufferPointer { fields in
                body(unsafe HeadView(base: bytes.baseAddress!, fields: fields))
            }
        }
    }

    /// Lends the body.
    func withBody<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe body(UnsafeRawBufferPointer(rebasing: bytes[head.headBytes...]))
        }
    }

    /// The request as plain values, body included.
    var inbound: InboundRequest {
        var request = withView { InboundRequest(head, $0) }
        request.body = Array(body)
        return request
    }

    func text(_ range: ByteRange) -> String { String(decoding: bytes[range.indices], as: UTF8.self) }

    /// The number of its route in `table`, or nil.
    func route(in table: RouteTable) -> Int? {
        let route = unsafe bytes.withUnsafeBytes { bytes in
            unsafe table.find(path: head.path.bytes(of: bytes), host: head.host.bytes(of: bytes))
        }
        return route >= 0 ? route : nil
    }

    /// As it reaches the disk when no rules of its own name the credentials.
    func masked(by table: RouteTable, route: Int) -> RawRequest {
        var copy = self
        let (head, fields) = (head, fields)
        // Sound: `maskCredentials` writes within the ranges of this head.
        unsafe copy.bytes.withUnsafeMutableBytes { bytes in
            unsafe fields.withUnsafeBufferPointer { fields in
                let view = unsafe HeadView(base: UnsafeRawPointer(bytes.baseAddress!), fields: fields)
                unsafe table.maskCredentials(view, path: head.path, in: bytes.baseAddress!, route: route)
            }
        }
        return copy
    }

    /// As it reaches the disk when a ruling names the credentials.
    func masked(_ credentials: [CredentialPlace]) -> RawRequest {
        var copy = self
        let places = withView { RequestPlaces(head, $0) }
        let headBytes = head.headBytes
        // Sound: `mask` bounds every range by the part it lies in.
        unsafe copy.bytes.withUnsafeMutableBytes { bytes in
            unsafe places.mask(
                credentials, base: bytes.baseAddress!,
                body: UnsafeMutableRawBufferPointer(rebasing: bytes[headBytes...]))
        }
        return copy
    }
}
