// PlainExchange: one HTTP/1.1 request over one plain blocking socket, and its answer (RFC 9112). For commands only.

// `timeval` is whoever's module comes first.
import CLinuxIO
import Glibc

struct PlainAnswer: Equatable {
    var status: Int
    var statusLine: String
    var fields: [(name: String, value: String)]
    var body: [UInt8]

    static func == (a: PlainAnswer, b: PlainAnswer) -> Bool {
        a.statusLine == b.statusLine && a.body == b.body && a.fields.map(\.name) == b.fields.map(\.name)
            && a.fields.map(\.value) == b.fields.map(\.value)
    }

    func field(_ name: String) -> String? { fields.first { $0.name.lowercased() == name.lowercased() }?.value }

    /// The answer in `bytes`, or nil while it is not complete; `isEnd` says that nothing more will come. Interim answers
    /// (1xx) are passed over.
    static func parse(_ bytes: [UInt8], isEnd: Bool) -> PlainAnswer? {
        guard let end = headEnd(bytes) else { return nil }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n").map(String.init)
        guard let statusLine = lines.first, statusLine.hasPrefix("HTTP/1."),
            let status = Int(statusLine.dropFirst(9).prefix(3))
        else { return nil }
        if (100..<200).contains(status) { return parse(Array(bytes[end...]), isEnd: isEnd) }
        let fields = lines.dropFirst().compactMap { line -> (name: String, value: String)? in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            return (String(line[..<colon]), String(value))
        }
        var answer = PlainAnswer(status: status, statusLine: statusLine, fields: fields, body: [])
        let rest = bytes[end...]
        if let length = answer.field("content-length").flatMap(Int.init), length >= 0 {
            guard rest.count >= length || isEnd else { return nil }
            answer.body = Array(rest.prefix(length))
        } else if status == 204 || status == 304 {
            answer.body = []
        } else {
            guard isEnd else { return nil }
            answer.body = Array(rest)
        }
        return answer
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 3..<bytes.count
        where bytes[index] == 0x0a && bytes[index - 1] == 0x0d && bytes[index - 2] == 0x0a && bytes[index - 3] == 0x0d {
            return index + 1
        }
        return nil
    }
}

enum PlainExchange {
    /// Why there is no answer.
    enum Failure: Error {
        /// The peer cannot be reached.
        case noConnection(String)
        /// It was reached, and did not answer.
        case noAnswer(String)
    }

    private static let answerBytesMax = 1 << 20
    private static let timeoutSeconds = 15

    static func send(
        _ request: [UInt8], host: String, port: UInt16, answerBytesMax: Int = PlainExchange.answerBytesMax
    ) throws(Failure) -> PlainAnswer {
        let fd = try connection(host, port)
        defer { close(fd) }
        // A server may refuse before it has read everything: what it says then is worth more than the broken pipe.
        let sendTrouble = write(request, to: fd)
        var received: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            if let answer = PlainAnswer.parse(received, isEnd: false) { return answer }
            // Sound: at most block.count bytes are written to the block.
            let count = unsafe block.withUnsafeMutableBytes { unsafe recv(fd, $0.baseAddress, $0.count, 0) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 {
                if let answer = PlainAnswer.parse(received, isEnd: true) { return answer }
                let trouble = count < 0 ? SmallFile.text(of: errno) : "the connection was closed"
                throw .noAnswer(sendTrouble ?? (errno == EAGAIN && count < 0 ? "no answer in time" : trouble))
            }
            received += block[..<count]
            guard received.count <= answerBytesMax else {
                throw .noAnswer("the answer is larger than \(answerBytesMax) bytes")
            }
        }
    }

    /// nil, or what went wrong.
    static func write(_ request: [UInt8], to fd: Int32) -> String? {
        var sent = 0
        while sent < request.count {
            // Sound: the rest of the request is read, no more.
            let count = unsafe request[sent...].withUnsafeBytes {
                unsafe Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                return SmallFile.text(of: errno)
            }
            sent += count
        }
        return nil
    }

    static func connection(_ host: String, _ port: UInt16) throws(Failure) -> Int32 {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            throw .noConnection("\(host): \(unsafe String(cString: gai_strerror(code)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var trouble = "no address"
        var next = unsafe list
        // Sound: the list is valid until freeaddrinfo.
        while let entry = unsafe next {
            let info = unsafe entry.pointee
            unsafe next = info.ai_next
            let fd = unsafe socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
            guard fd >= 0 else {
                trouble = SmallFile.text(of: errno)
                continue
            }
            // On Linux the send timeout bounds connect(2) as well (socket(7)).
            var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
            let bytes = socklen_t(MemoryLayout<timeval>.size)
            _ = unsafe setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, bytes)
            _ = unsafe setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, bytes)
            if unsafe connect(fd, info.ai_addr, info.ai_addrlen) == 0 { return fd }
            trouble = SmallFile.text(of: errno)
            close(fd)
        }
        throw .noConnection("\(host):\(port): \(trouble)")
    }
}
