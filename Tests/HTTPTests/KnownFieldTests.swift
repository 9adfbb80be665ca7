import HTTP
import Testing

@Suite("Known header fields")
struct KnownFieldTests {
    private func recognised(_ name: String) -> KnownField? {
        // HTTP/1.0, and a value that suits any field, so that the head is accepted whatever the name means.
        let outcome = parseHead("GET / HTTP/1.0\r\n\(name): 1\r\n\r\n")
        if outcome.error == .transferEncodingInOldVersion { return .transferEncoding }
        return outcome.head?.fields.first?.known
    }

    @Test("Each known name is recognised in any case", arguments: KnownField.allCases.filter { $0 != .other })
    func anyCase(field: KnownField) {
        let name = "\(field.name)"
        #expect(recognised(name) == field)
        #expect(recognised(name.uppercased()) == field)
        let mixed = String(
            name.enumerated().map { $0.offset % 2 == 0 ? Character($0.element.uppercased()) : $0.element })
        #expect(recognised(mixed) == field)
    }

    @Test(
        "A name that differs in one character is another name", arguments: KnownField.allCases.filter { $0 != .other })
    func nearMisses(field: KnownField) {
        let name = Array("\(field.name)".utf8)
        for index in name.indices {
            for byte in UInt8.min...UInt8.max where isTokenCharacter(byte) {
                var changed = name
                changed[index] = byte
                let text = String(decoding: changed, as: UTF8.self)
                let expected = KnownField.allCases.first { $0 != .other && "\($0.name)" == text.lowercased() } ?? .other
                #expect(recognised(text) == expected, "\(text)")
            }
        }
        let text = String(decoding: name, as: UTF8.self)
        #expect(recognised(text + "x") == .other)
        #expect(recognised("x" + text) == .other)
        #expect(recognised(text.replacing("-", with: "_")) == (text.contains("-") ? .other : field))
    }

    @Test("Names are distinct and in lower case")
    func names() {
        let names = KnownField.allCases.map { "\($0.name)" }
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0 == $0.lowercased() })
    }
}
