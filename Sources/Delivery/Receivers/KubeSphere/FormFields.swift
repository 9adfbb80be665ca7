// FormFields: values of one field of a query, a form body or a multipart body, with the place of each, which is overwritten in the record.
//
// As Go's net/url and mime/multipart read them: a pair with a semicolon or a broken escape does not count; of multipart bodies only parts
// without a file name do.

struct FormField {
    let value: [UInt8]
    /// Byte offsets of the value as it was sent. May be empty.
    let place: Range<Int>

    /// More of one field are not collected: no honest request has them.
    static let fieldsMax = 16
    /// Longer values are not decoded; they are compared as they are sent, and equal no secret.
    private static let encodedBytesMax = 12 << 10

    /// The field's values in `name=value&…`; one that cannot be decoded has no value and is not counted, but its place is.
    static func urlEncoded(_ bytes: [UInt8], named name: String) -> (fields: [FormField], broken: [Range<Int>]) {
        var fields: [FormField] = []
        var broken: [Range<Int>] = []
        var start = 0
        while start < bytes.count, fields.count + broken.count <= fieldsMax {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "&")) ?? bytes.count
            let pair = bytes[start..<end]
            start = end + 1
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? end
            // Every byte of the name may be escaped.
            guard equals - pair.startIndex <= 3 * name.utf8.count,
                let decoded = PercentDecoded(pair[..<equals], plusIsSpace: true), decoded.bytes.elementsEqual(name.utf8)
            else { continue }
            let place = min(equals + 1, end)..<end
            let encoded = bytes[place]
            if encoded.count > encodedBytesMax {
                fields.append(FormField(value: Array(encoded), place: place))
            } else if !pair.contains(UInt8(ascii: ";")), let value = PercentDecoded(encoded, plusIsSpace: true) {
                fields.append(FormField(value: value.bytes, place: place))
            } else {
                broken.append(place)
            }
        }
        return (fields, broken)
    }

    /// The field's values in a multipart body. Delimiters stand at the beginning of a line, so one pass is enough.
    static func multipart(_ body: [UInt8], boundary: [UInt8], named name: String) -> [FormField] {
        guard (1...70).contains(boundary.count) else { return [] }
        let delimiter = Array("--".utf8) + boundary
        var fields: [FormField] = []
        /// Where the content of the part that is being read begins, if it is ours.
        var content: Int?
        var isInHead = false
        var isOurs = false
        var start = 0
        while start < body.count, fields.count <= fieldsMax {
            let end = body[start...].firstIndex(of: 0x0a) ?? body.count
            var line = body[start..<end]
            if line.last == 0x0d { line = line.dropLast() }
            if line.starts(with: delimiter) {
                if let first = content {
                    // The line break before a delimiter belongs to it.
                    var last = start > first ? start - 1 : first
                    if last > first, body[last - 1] == 0x0d { last -= 1 }
                    fields.append(FormField(value: Array(body[first..<last]), place: first..<last))
                }
                content = nil
                isOurs = false
                if line.dropFirst(delimiter.count).starts(with: "--".utf8) { break }
                isInHead = true
            } else if isInHead {
                if line.isEmpty {
                    isInHead = false
                    if isOurs { content = min(end + 1, body.count) }
                } else if isDisposition(line, of: name) {
                    isOurs = true
                }
            }
            start = end + 1
        }
        return fields
    }

    private static func isDisposition(_ line: ArraySlice<UInt8>, of name: String) -> Bool {
        guard line.count <= 1024, let colon = line.firstIndex(of: UInt8(ascii: ":")),
            String(decoding: line[..<colon], as: UTF8.self).lowercased() == "content-disposition",
            let value = MediaType(String(decoding: line[(colon + 1)...], as: UTF8.self)), value.name == "form-data"
        else { return false }
        return value.parameters["filename"] == nil && value.parameters["name"]?.elementsEqual(name.utf8) == true
    }
}
