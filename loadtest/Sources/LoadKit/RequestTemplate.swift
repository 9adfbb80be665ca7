// RequestTemplate: the bytes of one GitHub delivery, changed in place for each sending.
//
//   POST /hooks/team-a/webapp HTTP/1.1 ... X-GitHub-Delivery: 00000000-0000-4000-8000-############ ...
//   X-Hub-Signature-256: sha256=################################################################  ...  {body}
//
// Three places change: the last twelve digits of the delivery's id, the marker in the body and, with it, the signature.

import CLoad

/// A key for HMAC-SHA256 whose pads are hashed once.
public struct SigningKey: Sendable {
    private var state = load_hmac_key()

    public init(_ secret: [UInt8]) {
        secret.withUnsafeBufferPointer { bytes in
            // An empty key is valid; C wants a pointer all the same.
            withUnsafePointer(to: UInt8(0)) { nothing in
                load_hmac_prepare(&state, bytes.baseAddress ?? nothing, UInt64(bytes.count))
            }
        }
    }

    /// The code of `message` as 64 lower-case hexadecimal digits, written to `digits`.
    func sign(_ message: UnsafeBufferPointer<UInt8>, into digits: UnsafeMutablePointer<UInt8>) {
        var code: [32 of UInt8] = .init(repeating: 0)
        withUnsafeMutableBytes(of: &code) { raw in
            let bytes = raw.bindMemory(to: UInt8.self)
            withUnsafePointer(to: state) { key in
                load_hmac(key, message.baseAddress!, UInt64(message.count), bytes.baseAddress!)
            }
            for index in 0..<32 {
                digits[2 * index] = hexadecimalDigit(bytes[index] >> 4)
                digits[2 * index + 1] = hexadecimalDigit(bytes[index] & 15)
            }
        }
    }

    /// The code of `message` in hexadecimal.
    public func signature(of message: [UInt8]) -> String {
        var digits = [UInt8](repeating: 0, count: 64)
        message.withUnsafeBufferPointer { bytes in
            digits.withUnsafeMutableBufferPointer { sign(bytes, into: $0.baseAddress!) }
        }
        return String(decoding: digits, as: UTF8.self)
    }
}

@inline(__always)
func hexadecimalDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}

/// The delivery that all connections send, each from a copy of its own.
public struct RequestTemplate: Sendable {
    public let bytes: [UInt8]
    let idOffset: Int
    let signatureOffset: Int
    let bodyOffset: Int
    let markerOffset: Int
    let key: SigningKey

    /// - Parameters:
    ///   - host: the value of `Host`.
    ///   - closes: sends `Connection: close` with each request.
    public init(path: String, host: String, event: String, payload: Payload, key: SigningKey, closes: Bool) {
        let head = """
            POST \(path) HTTP/1.1\r
            Host: \(host)\r
            User-Agent: GitHub-Hookshot/044aadd\r
            Content-Length: \(payload.bytes.count)\r
            Accept: */*\r
            Content-Type: application/json\r
            X-GitHub-Delivery: 00000000-0000-4000-8000-000000000000\r
            X-GitHub-Event: \(event)\r
            X-GitHub-Hook-ID: 292430182\r
            X-GitHub-Hook-Installation-Target-ID: 79929171\r
            X-GitHub-Hook-Installation-Target-Type: repository\r
            X-Hub-Signature-256: sha256=\(String(repeating: "0", count: 64))\r
            \(closes ? "Connection: close\r\n" : "")\r

            """
        let headBytes = Array(head.utf8)
        bytes = headBytes + payload.bytes
        bodyOffset = headBytes.count
        markerOffset = headBytes.count + payload.markerOffset
        idOffset = Self.offset(behind: "X-GitHub-Delivery: 00000000-0000-4000-8000-", in: headBytes)
        signatureOffset = Self.offset(behind: "X-Hub-Signature-256: sha256=", in: headBytes)
        self.key = key
    }

    private static func offset(behind text: String, in bytes: [UInt8]) -> Int {
        let wanted = Array(text.utf8)
        for start in 0...(bytes.count - wanted.count) where bytes[start] == wanted[0] {
            if bytes[start..<(start + wanted.count)].elementsEqual(wanted) { return start + wanted.count }
        }
        preconditionFailure("the head holds no \(text)")
    }

    /// Gives the request in `buffer` (a copy of `bytes`) the id `number`.
    func setID(_ number: UInt64, in buffer: UnsafeMutablePointer<UInt8>) {
        write(number, digits: 12, at: buffer + idOffset)
    }

    /// Gives the request in `buffer` another body and signs it. `isGood` false spoils one digit of the signature.
    func sign(marker: UInt64, isGood: Bool, in buffer: UnsafeMutablePointer<UInt8>) {
        write(marker, digits: Payload.markerCount, at: buffer + markerOffset)
        let body = UnsafeBufferPointer(start: UnsafePointer(buffer + bodyOffset), count: bytes.count - bodyOffset)
        key.sign(body, into: buffer + signatureOffset)
        if !isGood {
            let digit = buffer + signatureOffset + 63
            digit.pointee = digit.pointee == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
        }
    }

    /// One whole request, for tests and for looking at.
    public func request(id: UInt64, marker: UInt64, isGood: Bool = true) -> [UInt8] {
        var copy = bytes
        copy.withUnsafeMutableBufferPointer { buffer in
            setID(id, in: buffer.baseAddress!)
            sign(marker: marker, isGood: isGood, in: buffer.baseAddress!)
        }
        return copy
    }

    private func write(_ number: UInt64, digits: Int, at place: UnsafeMutablePointer<UInt8>) {
        var rest = number
        for index in stride(from: digits - 1, through: 0, by: -1) {
            place[index] = hexadecimalDigit(UInt8(truncatingIfNeeded: rest & 15))
            rest >>= 4
        }
    }
}
