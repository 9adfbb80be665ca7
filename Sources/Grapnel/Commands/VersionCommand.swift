// VersionCommand: `grapnel version`: what runs here, for bug reports.

import ArgumentParser
import CCrypto
import Glibc

enum Version {
    static let number = "0.1.0"

    #if DEBUG
        static let build = "debug"
    #else
        static let build = "release"
    #endif

    #if arch(x86_64)
        static let architecture = "x86_64"
    #elseif arch(arm64)
        static let architecture = "aarch64"
    #else
        static let architecture = "unknown"
    #endif

    /// The compiler that built this binary, as far as it can be asked.
    #if compiler(>=6.5)
        static let swift = "6.5 or later"
    #elseif compiler(>=6.4)
        static let swift = "6.4"
    #elseif compiler(>=6.3.1)
        static let swift = "6.3.1 or later"
    #else
        static let swift = "6.3"
    #endif
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the versions of this binary and of what it runs on.")

    func run() {
        print(
            Terminal.table([
                ["grapnel", Version.number],
                ["build", "\(Version.build), \(Version.architecture)"],
                ["Swift", Version.swift],
                ["kernel", Self.kernel()],
                ["OpenSSL", unsafe String(cString: cc_openssl_version())],
            ]))
    }

    private static func kernel() -> String {
        var name = utsname()
        guard unsafe uname(&name) == 0 else { return "unknown" }
        return text(&name.sysname) + " " + text(&name.release)
    }

    /// A member of utsname, which uname(2) fills with NUL-terminated text.
    private static func text<Member>(_ member: inout Member) -> String {
        unsafe withUnsafeBytes(of: &member) { bytes in
            String(decoding: unsafe Array(bytes).prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
