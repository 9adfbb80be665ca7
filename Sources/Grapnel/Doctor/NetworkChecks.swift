// NetworkChecks: listeners, TLS files, the URL that senders are given, the proxy to the outside.

import CLinuxIO
import Catalog
import EventLoop
import Foundation
import Glibc
import Trigger

struct NetworkChecks {
    let settings: ServerSettings

    func run() -> [Finding] { ports() + certificate() + externalURL() + proxy() }

    // MARK: - Listeners

    private func ports() -> [Finding] {
        let isRunning = DataDirectory.holder(settings.dataDirectory) == .somebody
        let server = isRunning ? ServerRecord.read(settings.dataDirectory) : nil
        let all =
            settings.plainListen.map { ("--listen", $0) } + settings.tlsListen.map { ("--tls-listen", $0) }
            + [("--admin-listen", settings.adminListen)]
            + (settings.metricsListen.map { [("--metrics-listen", $0)] } ?? [])
        return all.map { name, endpoint in
            let subject = "\(name) \(endpoint)"
            if endpoint.port == 0 { return .note(subject, "the kernel chooses the port") }
            let listener = unsafe endpoint.host.withCString { unsafe cl_listen($0, endpoint.port, 0, 1) }
            if listener >= 0 {
                _ = cl_close(listener)
                return .ok(subject, "free")
            }
            if -listener == EADDRINUSE, isRunning {
                let pid = server.map { ", process \($0.process.pid)" } ?? ""
                return .note(subject, "taken; the grapnel on this data directory runs\(pid)")
            }
            return .fail(subject, SmallFile.text(of: -listener), Self.remedy(-listener, name))
        }
    }

    private static func remedy(_ code: Int32, _ name: String) -> String {
        switch code {
        case EADDRINUSE: "stop what listens there (ss -ltnp), or choose another port with \(name)"
        case EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or choose a higher port with \(name)"
        case EADDRNOTAVAIL: "this host has no such address: give one that it has, or 0.0.0.0, with \(name)"
        default: "choose another address with \(name)"
        }
    }

    // MARK: - TLS

    private func certificate() -> [Finding] {
        guard let files = settings.tlsFiles else { return [] }
        let context: TLSContext
        do throws(CommandFailure) {
            context = try files.load()
        } catch {
            return [.fail("TLS", error.description, "correct the file, or the name of it")]
        }
        let (notBefore, notAfter) = (context.notBefore, context.notAfter)
        let until = Date(timeIntervalSince1970: Double(notAfter)).formatted(.iso8601)
        let remedy = "have \(files.certificate) renewed"
        switch TLSValidity(notBefore: notBefore, notAfter: notAfter, now: Int64(Date.now.timeIntervalSince1970)) {
        case .good: return [.ok("TLS", "certificate and key fit, good until \(until)")]
        case .expiresSoon: return [.warn("TLS", "the certificate expires on \(until)", remedy)]
        case .expired: return [.fail("TLS", "the certificate expired on \(until)", remedy)]
        case .notYet:
            let from = Date(timeIntervalSince1970: Double(notBefore)).formatted(.iso8601)
            return [
                .fail(
                    "TLS", "the certificate is good from \(from) on, not yet",
                    "see whether the clock is right, or take another")
            ]
        }
    }

    // MARK: - Names

    private func externalURL() -> [Finding] {
        guard let text = settings.externalURL else {
            return [.note("external URL", "none is set; `grapnel url` needs --external-url")]
        }
        guard let url = try? HTTPURL(text) else {
            return [.fail("external URL", "cannot be read", "correct --external-url")]
        }
        let (host, port) = Self.place(url.authority, isSecure: url.isSecure)
        switch Bounded.call({ Self.resolve(host) }) {
        case nil: return [Bounded.hung("external URL", "see whether the name server answers (resolv.conf)")]
        case .failure(let failure)?:
            return [
                .fail(
                    "external URL", "\(host) does not resolve: \(failure)",
                    "make the DNS record, or correct --external-url")
            ]
        case .success(let addresses)?:
            let found = Finding.ok("external URL", "\(host) is \(addresses.prefix(4).joined(separator: ", "))")
            guard DataDirectory.holder(settings.dataDirectory) == .somebody else { return [found] }
            return [found, answer(text, host, port)]
        }
    }

    /// Whether anything speaks HTTP there. Which path and status does not matter.
    private func answer(_ url: String, _ host: String, _ port: UInt16) -> Finding {
        let outbound = OutboundSettings(
            proxy: nil, caFile: settings.systems.outbound.caFile, userAgent: "grapnel/\(Version.number)")
        let trouble = Bounded.run { () -> String? in
            do {
                _ = try await OutboundClient(settings: outbound).get(url + "/", seconds: 4)
                return nil
            } catch let failure as OutboundClient.Failure {
                return failure.description.hasPrefix("answered ") ? nil : failure.description
            } catch {
                return "\(error)"
            }
        }
        let remedy =
            "see that the load balancer leads to this server, and its certificate is good; from inside a cluster this may fail all the same"
        switch trouble {
        case nil: return .warn("external URL", "\(host):\(port) does not answer within 5 s", remedy)
        case .some(nil): return .ok("external URL", "answers")
        case .some(let reason?):
            return .warn("external URL", "does not answer: \(Plain.text(reason, max: 200))", remedy)
        }
    }

    private func proxy() -> [Finding] {
        guard let text = settings.systems.outbound.proxy else { return [] }
        // The URL may hold a password: only host and port are shown.
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty else {
            return [.fail("outbound proxy", "it is not a URL like http://host:3128", "correct outbound.proxy")]
        }
        let port = UInt16(clamping: url.port ?? 3128)
        let remedy = "correct outbound.proxy, or let this host reach it"
        switch Bounded.call({ Self.connect(host, port) }) {
        case nil: return [Bounded.hung("outbound proxy", remedy)]
        case .some(nil): return [.ok("outbound proxy", "\(host):\(port) can be reached")]
        case .some(let reason?): return [.fail("outbound proxy", "\(host):\(port): \(reason)", remedy)]
        }
    }

    static func place(_ authority: String, isSecure: Bool) -> (host: String, port: UInt16) {
        let standard: UInt16 = isSecure ? 443 : 80
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            let rest = authority[authority.index(after: end)...].dropFirst()
            return (String(authority[authority.index(after: authority.startIndex)..<end]), UInt16(rest) ?? standard)
        }
        let parts = authority.split(separator: ":")
        return (parts.first.map(String.init) ?? authority, parts.count > 1 ? UInt16(parts[1]) ?? standard : standard)
    }

    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    /// Numeric addresses of a name. May hang as long as the resolver does.
    static func resolve(_ host: String) -> Result<[String], Trouble> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else { return .failure(Trouble(description: unsafe String(cString: gai_strerror(code)))) }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [String] = []
        var next = unsafe list
        // Sound: the list is valid until freeaddrinfo.
        while let entry = unsafe next {
            var text = [CChar](repeating: 0, count: 64)
            if unsafe getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0
            {
                addresses.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            unsafe next = entry.pointee.ai_next
        }
        return .success(addresses)
    }

    /// nil, or why no connection came about.
    private static func connect(_ host: String, _ port: UInt16) -> String? {
        switch resolve(host) {
        case .failure(let failure): return "\(failure)"
        case .success(let addresses):
            var trouble = "no address"
            for address in addresses {
                let isIPv6 = address.contains(":")
                let fd = socket(isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                guard fd >= 0 else { return SmallFile.text(of: errno) }
                defer { close(fd) }
                // On Linux the send timeout bounds connect(2) as well (socket(7)).
                var timeout = timeval(tv_sec: 4, tv_usec: 0)
                _ = unsafe setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
                if connect(fd, address, port, isIPv6) { return nil }
                trouble = SmallFile.text(of: errno)
            }
            return trouble
        }
    }

    private static func connect(_ fd: Int32, _ address: String, _ port: UInt16, _ isIPv6: Bool) -> Bool {
        // Sound: each pointer is to a whole address of its family.
        if isIPv6 {
            var place = sockaddr_in6()
            place.sin6_family = sa_family_t(AF_INET6)
            place.sin6_port = port.bigEndian
            guard unsafe inet_pton(AF_INET6, address, &place.sin6_addr) == 1 else { return false }
            return unsafe withUnsafePointer(to: &place) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
                }
            }
        }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        guard unsafe inet_pton(AF_INET, address, &place.sin_addr) == 1 else { return false }
        return unsafe withUnsafePointer(to: &place) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
