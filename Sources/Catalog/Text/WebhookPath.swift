// WebhookPath: the request path of a Flux Receiver.
//
// `/hook/` and the lower-case hexadecimal SHA-256 of token, name and namespace, one behind the other without separators, the
// token being the Secret's raw bytes with nothing trimmed (notification-controller api/v1/receiver_types.go GetWebhookPath).
// Without separators two receivers can share a path; `PathClaims` settles that.

import CCrypto

public enum WebhookPath {
    public static func flux(token: [UInt8], name: String, namespace: String) -> String {
        let message = token + Array(name.utf8) + Array(namespace.utf8)
        var path = Array("/hook/".utf8)
        for byte in sha256(message) {
            path.append(hexadecimal[Int(byte >> 4)])
            path.append(hexadecimal[Int(byte & 15)])
        }
        return String(decoding: path, as: UTF8.self)
    }

    /// A path as it may be shown: the secret part of a Flux path is cut to four digits. Other paths come back as they are.
    public static func redacted(_ path: String) -> String {
        let digest = path.utf8.dropFirst(6)
        guard path.hasPrefix("/hook/"), digest.count >= 16 else { return path }
        return String(path.prefix(10)) + "…"
    }

    private static let hexadecimal = Array("0123456789abcdef".utf8)

    private static func sha256(_ message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        // Sound: the digest has the 32 bytes that cc_sha256 writes.
        unsafe message.withUnsafeBytes { unsafe cc_sha256($0.baseAddress, $0.count, &digest) }
        return digest
    }
}
