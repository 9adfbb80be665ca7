// TextSearch: finding one text in another in linear time (Knuth, Morris and Pratt). UTF-8 does not overlap with itself, so that a
// search over bytes finds code points.

struct TextSearch {
    private let needle: [UInt8]
    // borders[n]: the length of the longest proper beginning of needle[...n] that is also its end.
    private let borders: [Int]

    init(_ needle: [UInt8]) {
        self.needle = needle
        var borders = Array(repeating: 0, count: needle.count)
        var matched = 0
        for index in needle.indices.dropFirst() {
            while matched > 0, needle[index] != needle[matched] { matched = borders[matched - 1] }
            if needle[index] == needle[matched] { matched += 1 }
            borders[index] = matched
        }
        self.borders = borders
    }

    /// Where the needle first begins at or behind `start`.
    func first(in text: [UInt8], from start: Int = 0) -> Int? {
        if needle.isEmpty { return start <= text.count ? start : nil }
        guard start < text.count else { return nil }
        var matched = 0
        for index in start..<text.count {
            while matched > 0, text[index] != needle[matched] { matched = borders[matched - 1] }
            if text[index] == needle[matched] { matched += 1 }
            if matched == needle.count { return index - needle.count + 1 }
        }
        return nil
    }

    /// Where the needle last begins at or before `end`.
    func last(in text: [UInt8], through end: Int) -> Int? {
        if needle.isEmpty { return min(end, text.count) }
        var found: Int?
        var matched = 0
        for index in text.indices.prefix(max(0, end + needle.count)) {
            while matched > 0, text[index] != needle[matched] { matched = borders[matched - 1] }
            if text[index] == needle[matched] { matched += 1 }
            if matched == needle.count {
                found = index - needle.count + 1
                matched = borders[matched - 1]
            }
        }
        return found
    }
}
