// ProxyEnvironment: the proxy that the environment names, for kubeconfigs that name none. As Go's http.ProxyFromEnvironment,
// which kubectl uses, with networks in no_proxy.
//
// Source of truth: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config

import Foundation
import Glibc

struct ProxyEnvironment {
    private let environment: [String: String]

    init(_ environment: [String: String]) { self.environment = environment }

    /// The proxy for calls to `server` and the variable that names it; nil: none.
    func proxy(for server: String) -> (url: String, variable: String)? {
        guard let components = URLComponents(string: server), let host = components.host else { return nil }
        let scheme = components.scheme?.lowercased() == "http" ? "http" : "https"
        let names = ["\(scheme.uppercased())_PROXY", "\(scheme)_proxy"]
        guard let name = names.first(where: { environment[$0]?.isEmpty == false }), var url = environment[name] else {
            return nil
        }
        let bare = host.trimmingCharacters(in: ["[", "]"]).lowercased()
        if isExcepted(bare, port: components.port ?? (scheme == "http" ? 80 : 443)) { return nil }
        if !url.contains("://") { url = "http://" + url }
        return (url, name)
    }

    private func isExcepted(_ host: String, port: Int) -> Bool {
        let address = Self.address(host)
        if host == "localhost" || Self.isLoopback(address) { return true }
        let list = ["NO_PROXY", "no_proxy"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
        for item in list.split(separator: ",") {
            let entry = item.trimmingCharacters(in: .whitespaces).lowercased()
            if entry == "*" || (!entry.isEmpty && Self.matches(entry, host, address, port)) { return true }
        }
        return false
    }

    private static func matches(_ entry: String, _ host: String, _ address: [UInt8]?, _ port: Int) -> Bool {
        if let slash = entry.firstIndex(of: "/") {
            guard let network = self.address(String(entry[..<slash])), let address, network.count == address.count,
                let bits = Int(entry[entry.index(after: slash)...]), (0...network.count * 8).contains(bits)
            else { return false }
            return (0..<bits).allSatisfy { bit in
                (network[bit / 8] ^ address[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
            }
        }
        var name = entry
        if self.address(entry) == nil, let colon = entry.lastIndex(of: ":") {
            guard Int(entry[entry.index(after: colon)...]) == port else { return false }
            name = String(entry[..<colon])
        }
        name = name.trimmingCharacters(in: ["[", "]"])
        if let wanted = self.address(name) { return wanted == address }
        if name.hasPrefix("*.") { name.removeFirst() }
        // `.example.org` means what is below it, `example.org` itself too.
        return name.hasPrefix(".") ? host.hasSuffix(name) : host == name || host.hasSuffix("." + name)
    }

    /// The bytes of an IP address, 4 or 16.
    private static func address(_ text: String) -> [UInt8]? {
        let text = text.trimmingCharacters(in: ["[", "]"])
        var bytes = [UInt8](repeating: 0, count: 16)
        // inet_pton writes 4 or 16 bytes, which `bytes` has.
        if unsafe inet_pton(AF_INET, text, &bytes) == 1 { return Array(bytes[..<4]) }
        return unsafe inet_pton(AF_INET6, text, &bytes) == 1 ? bytes : nil
    }

    private static func isLoopback(_ address: [UInt8]?) -> Bool {
        guard let address else { return false }
        return address.count == 4 ? address[0] == 127 : address.dropLast().allSatisfy { $0 == 0 } && address[15] == 1
    }
}
