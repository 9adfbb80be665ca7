import HTTP
import Testing

/// Each table is compared with its rule, written out from the RFC once more, for all 256 values.
@Suite("Byte classes")
struct ByteClassTests {
    private let alpha = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    private let digit = Set("0123456789".utf8)
    private let visible = Set((0x21...0x7e).map { UInt8($0) })
    private let obsoleteText = Set((0x80...0xff).map { UInt8($0) })

    private func expect(_ set: Set<UInt8>, _ isMember: (UInt8) -> Bool, _ rule: String) {
        for byte in UInt8.min...UInt8.max {
            #expect(isMember(byte) == set.contains(byte), "\(rule): byte \(byte)")
        }
    }

    @Test("tchar of RFC 9110 section 5.6.2")
    func token() {
        expect(alpha.union(digit).union("!#$%&'*+-.^_`|~".utf8), isTokenCharacter, "tchar")
    }

    @Test("Request target: visible ASCII without the characters that no URI holds")
    func target() {
        let expected = visible.subtracting("\"<>\\^`{|}#".utf8)
        expect(expected, isTargetCharacter, "target")
        // What is left is what RFC 3986 allows: unreserved, reserved without `#`, `%`; brackets are in gen-delims.
        let uri = alpha.union(digit).union("-._~".utf8).union(":/?[]@".utf8).union("!$&'()*+,;=".utf8).union("%".utf8)
        #expect(expected == uri)
    }

    @Test("field-vchar, SP and HTAB of RFC 9110 section 5.5")
    func fieldValue() {
        expect(visible.union(obsoleteText).union([0x20, 0x09]), isFieldValueCharacter, "field-content")
    }

    @Test("HEXDIG of RFC 5234 in either case, and its value")
    func hexDigit() {
        expect(digit.union("ABCDEFabcdef".utf8), isHexDigit, "HEXDIG")
        for byte in UInt8.min...UInt8.max where isHexDigit(byte) {
            #expect(Int(hexDigitValue(byte)) == Int(String(UnicodeScalar(byte)), radix: 16))
        }
    }

    @Test("unreserved and sub-delims of RFC 3986")
    func registeredName() {
        expect(
            alpha.union(digit).union("-._~".utf8).union("!$&'()*+,;=".utf8), isRegisteredNameCharacter, "reg-name")
    }

    @Test("qdtext of RFC 9110 section 5.6.4")
    func quotedText() {
        let middle = Set((0x23...0x5b).map { UInt8($0) })
        let upper = Set((0x5d...0x7e).map { UInt8($0) })
        expect(middle.union(upper).union(obsoleteText).union([0x09, 0x20, 0x21]), isQuotedTextCharacter, "qdtext")
    }

    @Test("Plain characters belong to tchar and to reg-name")
    func plain() {
        expect(alpha.union(digit).union("-.".utf8), isPlainCharacter, "plain")
        for byte in UInt8.min...UInt8.max where isPlainCharacter(byte) {
            #expect(isTokenCharacter(byte) && isRegisteredNameCharacter(byte))
        }
    }

    @Test("DIGIT and blanks")
    func digitsAndBlanks() {
        expect(digit, isDigit, "DIGIT")
        expect([0x20, 0x09], isBlank, "blank")
    }
}
