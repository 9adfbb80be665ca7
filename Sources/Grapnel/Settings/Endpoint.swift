// Endpoint: HOST:PORT to listen on. The host is numeric: a listener that depends on a name service may listen on the wrong one.

import CLinuxIO
import Catalog
import Glibc

struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A numeric address without brackets.
    var host: String
    /// 0: the kernel chooses.
    var port: UInt16

    init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `127.0.0.1:9292`, `[::1]:9292`; `localhost` is 127.0.0.1, `:9292` and `*:9292` are all IPv4 addresses.
    init(_ text: String) throws(SettingError) {
        let form = "write it as 0.0.0.0:9292 or [::]:9292"
        guard let colon = text.lastIndex(of: ":") else {
            throw SettingError("\(quoted(text)) has no port; \(form)")
        }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.allSatisfy(\.isASCIIDigit), let port = UInt16(digits) else {
            throw SettingError("\(quoted(text)) has a port that is not 0 to 65535; \(form)")
        }
        var host = String(text[..<colon])
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
        if isBracketed { host = String(host.dropFirst().dropLast()) }
        switch host {
        case "", "*": host = "0.0.0.0"
        case "localhost": host = "127.0.0.1"
        default: break
        }
        var address = in6_addr()
        // Sound: `address` is as large as either family's address.
        let is4 = unsafe inet_pton(AF_INET, host, &address) == 1
        let is6 = unsafe inet_pton(AF_INET6, host, &address) == 1
        if is6, !isBracketed { throw SettingError("\(quoted(text)): an IPv6 address stands in brackets; \(form)") }
        guard is4 && !isBracketed || is6 else {
            throw SettingError("\(quoted(text)): the host must be an IP address; \(form)")
        }
        self.init(host: host, port: port)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }
}
