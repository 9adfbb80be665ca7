// Samples: the bytes that the operations work on: a GitHub push as it comes over the wire, and unpleasant relatives.

enum Samples {
    static let secret = Array("benchmark-secret-0123456789abcdef".utf8)
    static let path = "/hooks/team-a/webapp"
    /// The signature of `pushBody` under `secret` is not computed here: what a wrong one costs is the same.
    static let wrongSignature = String(repeating: "5e", count: 32)

    /// A push of 8 KiB: members as GitHub sends them, padded.
    static let pushBody: [UInt8] = {
        var text = #"{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","commits":["#
        var index = 0
        while text.utf8.count < 8192 - 400 {
            text += index == 0 ? "" : ","
            text += #"{"id":"\#(String(repeating: "ab", count: 20))","distinct":true,"message":"Update \#(index)","#
            text += #""timestamp":"2026-01-01T00:00:00Z","added":[],"removed":[],"modified":["deploy/app.yaml"]}"#
            index += 1
        }
        text += #"],"padding":""#
        text += String(repeating: "p", count: 8192 - text.utf8.count - 2)
        return Array((text + #""}"#).utf8)
    }()

    /// The head of that push, 12 fields.
    static let pushHead = head(fields: [
        ("Host", "webhook-receiver.example.com"), ("User-Agent", "GitHub-Hookshot/044aadd"),
        ("Content-Length", "8192"), ("Accept", "*/*"), ("Content-Type", "application/json"),
        ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"), ("X-GitHub-Event", "push"),
        ("X-GitHub-Hook-ID", "292430182"), ("X-GitHub-Hook-Installation-Target-ID", "79929171"),
        ("X-GitHub-Hook-Installation-Target-Type", "repository"),
        ("X-Hub-Signature", "sha1=" + String(repeating: "7d", count: 20)),
        ("X-Hub-Signature-256", "sha256=" + wrongSignature),
    ])

    /// The longest head that the default limits let pass: 100 fields, close to 32 KiB.
    static let longestHead = head(
        fields: [("Host", "webhook-receiver.example.com"), ("Content-Length", "8192")]
            + (0..<98).map { ("X-Filler-Of-A-Proxy-\($0)", String(repeating: "f", count: 295)) })

    /// `pushBody` in chunks of so many bytes.
    static func chunks(of byteCount: Int, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: count, by: byteCount) {
            let piece = pushBody[start..<min(start + byteCount, count)]
            bytes += Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + Array("\r\n".utf8)
        }
        return bytes + Array("0\r\n\r\n".utf8)
    }

    private static func head(fields: [(String, String)]) -> [UInt8] {
        Array(
            ("POST \(path) HTTP/1.1\r\n" + fields.map { "\($0.0): \($0.1)\r\n" }.joined() + "\r\n").utf8)
    }
}

/// A copy of `bytes` that stays where it is for the life of the process.
func pinned(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    buffer.copyBytes(from: bytes)
    return buffer
}
