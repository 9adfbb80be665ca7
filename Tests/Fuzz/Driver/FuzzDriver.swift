// FuzzDriver: what every fuzz target's `main` calls.

import CFuzzer
import Glibc

/// Runs libFuzzer with the process's arguments on `test` and exits with its status. `test` is a closure without captures; it
/// crashes on a finding, otherwise returns 0.
public func runFuzzer(_ test: @escaping @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt) -> Never {
    var count = CommandLine.argc
    // libFuzzer declares the vector and its strings as never NULL, Swift the strings as perhaps NULL: one layout.
    var arguments = CommandLine.unsafeArgv
    let status = withUnsafeMutablePointer(to: &arguments) {
        LLVMFuzzerRunDriver(&count, $0, test)
    }
    exit(status)
}

/// Ends the run with a finding when `holds` is false.
public func check(_ holds: Bool, _ message: @autoclosure () -> String) {
    if !holds { fatalError(message()) }
}
