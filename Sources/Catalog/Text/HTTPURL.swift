// HTTPURL: an absolute http or https URL (RFC 9110 section 4.2), as far as an outbound call needs it apart.

/// Why a text is no usable URL. Never repeats it: there may be a password in it.
package struct HTTPURLError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

package struct HTTPURL: Equatable, Sendable {
    package let isSecure: Bool
    /// Without brackets.
    package let host: String
    package let port: UInt16
    /// As in the Host field: brackets, and the port where it is not the scheme's own.
    package let authority: String
    /// Origin form: path and query, at least `/`.
    package let target: String

    /// User names, passwords and fragments are refused.
    package init(_ text: String) throws(HTTPURLError) {
        func refuse(_ message: String) -> HTTPURLError { HTTPURLError(description: message) }
        let lower = text.lowercased()
        guard let scheme = ["https://", "http://"].first(where: lower.hasPrefix) else {
            throw refuse("must begin with http:// or https://")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), text.utf8.count <= 8_192 else {
            throw refuse("must be at most 8192 visible ASCII characters; percent-encode the others")
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if authority.contains("@") { throw refuse("must not contain a user name or password") }
        if rest.contains("#") { throw refuse("must not contain a fragment") }
        var host = authority
        var digits: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw refuse("has a [ without ] in its host") }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let tail = authority[authority.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw refuse("has something odd behind its host") }
            digits = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            digits = authority[authority.index(after: colon)...]
        }
        let isHostCharacter = { (character: Character) in
            character.isLetter || character.isNumber || "-._:%~".contains(character)
        }
        guard !host.isEmpty, host.allSatisfy(isHostCharacter) else { throw refuse("has no host") }
        isSecure = scheme == "https://"
        var port: UInt16 = isSecure ? 443 : 80
        if let digits {
            guard digits.allSatisfy(\.isASCIIDigit), let number = UInt16(digits), number > 0 else {
                throw refuse("has a port that is not 1 to 65535")
            }
            port = number
        }
        self.host = String(host)
        self.port = port
        self.authority = String(authority)
        let target = rest[authority.endIndex...]
        self.target = target.hasPrefix("/") ? String(target) : "/" + target
    }
}
