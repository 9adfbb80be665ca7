// AnswerText: the beginning of a server's refusal, as it may be kept and shown.
//
// Servers repeat addresses in their refusals ("Cannot POST /hooks/…"), and the path or the query of an action's address may be its
// secret. An answer in which any part of them is found is left out as a whole, however the server wrote it: compared are letters and
// digits alone, in lower case, with percent-encoding taken off.

enum AnswerText {
    /// Of an answer; the rest is not looked at, and not shown.
    private static let shownBytesMax = 400
    /// What is shorter is no secret, and stands in many texts.
    private static let partBytesMin = 5

    static let leftOut = "(left out: it repeats a part of the address)"

    /// `url`: what was called; `secret`: what the request was signed with. Both must not show.
    static func shown(_ body: [UInt8], url: String, secret: String?) -> String {
        guard !body.isEmpty else { return "" }
        let texts = [folded(body), folded(decoded(body))]
        let found = (hiddenParts(of: url) + [secret ?? ""]).contains { part in
            [folded(Array(part.utf8)), folded(decoded(Array(part.utf8)))].contains { part in
                part.count >= partBytesMin && texts.contains { contains($0, part) }
            }
        }
        return found ? leftOut : String(decoding: body.prefix(shownBytesMax), as: UTF8.self)
    }

    /// User, password, and the parts of path, query and fragment.
    private static func hiddenParts(of url: String) -> [String] {
        guard let scheme = url.firstRange(of: "://") else { return [url] }
        let rest = url[scheme.upperBound...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let user = rest[..<end].lastIndex(of: "@").map { rest[..<$0].split(separator: ":") } ?? []
        return (user + rest[end...].split { "/?#&=;".contains($0) }).map(String.init)
    }

    /// Letters and digits in lower case, and what is not ASCII.
    private static func folded(_ bytes: [UInt8]) -> [UInt8] {
        bytes.compactMap { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...: byte
            default: nil
            }
        }
    }

    /// Without percent-encoding (RFC 3986 section 2.1).
    private static func decoded(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = digit(bytes[index + 1]),
                let low = digit(bytes[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return result
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.map { UInt8($0) }
    }

    private static func contains(_ text: [UInt8], _ part: [UInt8]) -> Bool {
        guard part.count <= text.count else { return false }
        return (0...text.count - part.count).contains { text[$0] == part[0] && text[$0...].starts(with: part) }
    }
}
