// BodyVariant: what a sender may have signed, when what arrived is not it. A small, bounded set of the changes that proxies, editors and
// middleware make: line breaks, a byte order mark, a JSON text that was parsed and written again.

import Delivery

struct BodyVariant: Sendable, Equatable {
    /// Completes `the signature is that of …`.
    let description: String
    let body: [UInt8]

    /// Larger bodies are not written anew: every way of writing costs a pass.
    static let jsonBytesMax = 2 << 20

    /// All variants that differ from `body`, cheap ones first.
    static func all(of body: [UInt8]) -> [BodyVariant] {
        lineBreaks(of: body) + written(body)
    }

    private static func lineBreaks(of body: [UInt8]) -> [BodyVariant] {
        var found: [BodyVariant] = []
        func add(_ description: String, _ variant: [UInt8]) {
            if variant != body { found.append(BodyVariant(description: description, body: variant)) }
        }
        add("the body with a line feed at its end, which is missing here", body + [0x0a])
        add("the body with CRLF at its end, which is missing here", body + [0x0d, 0x0a])
        if body.last == 0x0a {
            add("the body without the line feed at its end", body.dropLast())
            if body.dropLast().last == 0x0d { add("the body without the CRLF at its end", body.dropLast(2)) }
        }
        var end = body.count
        while end > 0, [0x20, 0x09, 0x0a, 0x0d].contains(body[end - 1]) { end -= 1 }
        add("the body without the blanks and line breaks at its end", Array(body[..<end]))
        add("the body with LF where CRLF stands here", replacing(body, crlfBy: [0x0a]))
        add("the body with CRLF where LF stands here", replacing(replacing(body, crlfBy: [0x0a]), lfBy: [0x0d, 0x0a]))
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        if body.starts(with: mark) {
            add("the body without the byte order mark", Array(body.dropFirst(3)))
        } else {
            add("the body with a byte order mark", mark + body)
        }
        add("an empty body", [])
        return found
    }

    private static func written(_ body: [UInt8]) -> [BodyVariant] {
        guard body.count <= jsonBytesMax, let value = JSONValue(body) else { return [] }
        var found: [BodyVariant] = []
        var seen: Set<[UInt8]> = [body]
        for style in styles {
            let bytes = style.bytes(value)
            for (variant, ending) in [(bytes, ""), (bytes + [0x0a], " and a line feed at its end")]
            where seen.insert(variant).inserted {
                found.append(
                    BodyVariant(
                        description: "the same JSON written otherwise (\(words(style))\(ending)): something on the way "
                            + "parsed the body and wrote it again", body: variant))
            }
        }
        return found
    }

    private static let styles: [JSONText] = {
        var styles: [JSONText] = []
        for layout in JSONText.Layout.allCases {
            for sortsKeys in [false, true] {
                for (unicode, slashes, html) in [
                    (false, false, false), (true, false, false), (false, true, false), (true, true, false),
                    (false, false, true),
                ] {
                    styles.append(
                        JSONText(
                            layout: layout, sortsKeys: sortsKeys, escapesUnicode: unicode, escapesSlashes: slashes,
                            escapesHTML: html))
                }
            }
        }
        return styles
    }()

    private static func words(_ style: JSONText) -> String {
        var words: [String] = []
        switch style.layout {
        case .compact: words.append("without blanks")
        case .spaced: words.append("a blank behind each comma and colon")
        case .indented(let width): words.append("indented by \(width)")
        }
        if style.sortsKeys { words.append("members sorted") }
        if style.escapesUnicode { words.append("non-ASCII escaped") }
        if style.escapesSlashes { words.append("slashes escaped") }
        if style.escapesHTML { words.append("<, > and & escaped") }
        return words.joined(separator: ", ")
    }

    private static func replacing(_ body: [UInt8], crlfBy replacement: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(body.count)
        var index = 0
        while index < body.count {
            if body[index] == 0x0d, index + 1 < body.count, body[index + 1] == 0x0a {
                result += replacement
                index += 2
            } else {
                result.append(body[index])
                index += 1
            }
        }
        return result
    }

    private static func replacing(_ body: [UInt8], lfBy replacement: [UInt8]) -> [UInt8] {
        body.flatMap { $0 == 0x0a ? replacement : [$0] }
    }
}
