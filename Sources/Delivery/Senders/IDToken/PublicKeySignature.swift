// PublicKeySignature: CSignature.h with arrays. A false key is a wrong signature.

internal import CCrypto

enum PublicKeySignature {
    static func rsa(
        _ signature: [UInt8], of message: [UInt8], _ modulus: [UInt8], _ exponent: [UInt8], digestBits: Int32
    ) -> Bool {
        // Sound: the pointers live as long as the closures that they are handed to, and the C side keeps none.
        unsafe withBytes(modulus, exponent, message, signature) {
            unsafe cc_rsa_verify(digestBits, $0, $1, $2, $3) == 1
        }
    }

    static func ecdsa(_ signature: [UInt8], of message: [UInt8], _ x: [UInt8], _ y: [UInt8], digestBits: Int32) -> Bool
    {
        unsafe withBytes(x, y, message, signature) { unsafe cc_ecdsa_verify(digestBits, $0, $1, $2, $3) == 1 }
    }

    static func ed25519(_ signature: [UInt8], of message: [UInt8], key: [UInt8]) -> Bool {
        unsafe withBytes(key, [], message, signature) { key, _, message, signature in
            unsafe cc_ed25519_verify(key, message, signature) == 1
        }
    }

    private static func withBytes(
        _ first: [UInt8], _ second: [UInt8], _ third: [UInt8], _ fourth: [UInt8],
        _ body: (cc_bytes, cc_bytes, cc_bytes, cc_bytes) -> Bool
    ) -> Bool {
        unsafe first.withUnsafeBufferPointer { first in
            unsafe second.withUnsafeBufferPointer { second in
                unsafe third.withUnsafeBufferPointer { third in
                    unsafe fourth.withUnsafeBufferPointer { fourth in
                        unsafe body(
                            cc_bytes(start: first.baseAddress, count: first.count),
                            cc_bytes(start: second.baseAddress, count: second.count),
                            cc_bytes(start: third.baseAddress, count: third.count),
                            cc_bytes(start: fourth.baseAddress, count: fourth.count))
                    }
                }
            }
        }
    }
}
