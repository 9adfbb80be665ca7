// SecretComparison: comparisons and digests for rules that work on plain values. Constant time over equal lengths.

internal import CCrypto

extension SecretBytes {
    /// Whether `bytes` are this secret. An unequal length costs a comparison of the secret with itself; an empty secret equals nothing.
    public func matches(_ other: some Collection<UInt8>) -> Bool {
        guard !bytes.isEmpty else { return false }
        let other = Array(other)
        let isSameLength = other.count == bytes.count
        let candidate = isSameLength ? other : bytes
        let isEqual = unsafe bytes.withUnsafeBytes { mine in
            unsafe candidate.withUnsafeBytes { theirs in
                unsafe cc_equal(mine.baseAddress!, theirs.baseAddress!, mine.count) == 1
            }
        }
        return isEqual && isSameLength
    }

    /// Whether `text`'s UTF-8 is this secret.
    public func matches(_ text: String) -> Bool { matches(text.utf8) }

    /// HMAC of `message` with this secret as the key.
    public func hmac(_ algorithm: DigestAlgorithm, of message: [UInt8]) -> [UInt8] {
        var states = [UInt64](repeating: 0, count: cc_hmac_key_bytes() / 8 + 1)
        var digest = [UInt8](repeating: 0, count: algorithm.byteCount)
        unsafe states.withUnsafeMutableBytes { states in
            unsafe cc_hmac_key_prepare(states.baseAddress!, bytes, bytes.count)
            unsafe cc_hmac(states.baseAddress!, Int32(algorithm.code), message, message.count, &digest)
            unsafe states.initializeMemory(as: UInt8.self, repeating: 0)
        }
        return digest
    }
}

/// What an HMAC is made with.
public enum DigestAlgorithm: Sendable {
    case sha1, sha256, sha512

    var code: Int {
        switch self {
        case .sha1: CC_SHA1
        case .sha256: CC_SHA256
        case .sha512: CC_SHA512
        }
    }

    public var byteCount: Int { cc_digest_bytes(Int32(code)) }
}
