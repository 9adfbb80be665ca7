// MediaType: a Content-Type field read as Go's mime.ParseMediaType reads it, which decides what the API server's webhooks accept.
//
// Refused are: no type, a type without subtype after its slash, parameters that are no `name=value`, and one parameter with two values.
// A type without slash and a semicolon at the end are let through, as there.

struct MediaType {
    /// Lower case, without parameters.
    let name: String
    /// By lower-case name, unquoted.
    let parameters: [String: [UInt8]]

    /// nil when Go would refuse it.
    init?(_ field: String) {
        let bytes = Array(field.utf8)
        var reader = Reader(bytes: bytes)
        reader.skipSpace()
        guard let type = reader.token() else { return nil }
        var name = type
        if reader.take(UInt8(ascii: "/")) {
            guard let subtype = reader.token() else { return nil }
            name += [UInt8(ascii: "/")] + subtype
        }
        reader.skipSpace()
        guard reader.isAtEnd || reader.next == UInt8(ascii: ";") else { return nil }
        var parameters: [String: [UInt8]] = [:]
        while true {
            reader.skipSpace()
            if reader.isAtEnd { break }
            guard reader.take(UInt8(ascii: ";")) else { return nil }
            reader.skipSpace()
            // A semicolon at the end.
            if reader.isAtEnd { break }
            guard let parameter = reader.token() else { return nil }
            reader.skipSpace()
            guard reader.take(UInt8(ascii: "=")) else { return nil }
            reader.skipSpace()
            guard let value = reader.value() else { return nil }
            let key = String(decoding: parameter, as: UTF8.self).lowercased()
            if let known = parameters[key], known != value { return nil }
            parameters[key] = value
        }
        self.name = String(decoding: name, as: UTF8.self).lowercased()
        self.parameters = parameters
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        var isAtEnd: Bool { index >= bytes.count }
        var next: UInt8? { index < bytes.count ? bytes[index] : nil }

        mutating func take(_ byte: UInt8) -> Bool {
            guard next == byte else { return false }
            index += 1
            return true
        }

        mutating func skipSpace() {
            while let byte = next, byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) { index += 1 }
        }

        /// nil when there is none.
        mutating func token() -> [UInt8]? {
            let start = index
            while let byte = next, byte > 0x20, byte < 0x7f, !"()<>@,;:\\\"/[]?=".utf8.contains(byte) { index += 1 }
            return index > start ? Array(bytes[start..<index]) : nil
        }

        /// A token or a quoted text.
        mutating func value() -> [UInt8]? {
            guard take(UInt8(ascii: "\"")) else { return token() }
            var text: [UInt8] = []
            while let byte = next {
                index += 1
                switch byte {
                case UInt8(ascii: "\""): return text
                case UInt8(ascii: "\\"):
                    guard let escaped = next else { return nil }
                    index += 1
                    text.append(escaped)
                case 0x0a, 0x0d: return nil
                default: text.append(byte)
                }
            }
            return nil
        }
    }
}
