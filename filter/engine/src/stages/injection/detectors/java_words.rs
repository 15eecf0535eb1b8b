//! Words of Java and its neighbours: classes, calls, packages.
//!
//! **Source:** Java SE API; the class lists that Jackson (`SubTypeValidator`), XStream and SnakeYAML refuse; Commons Collections
//! functors; .NET formatter gadgets.

use super::words::{Key, Words};

/// First segment of a package of the platform.
pub(super) const ROOT: u8 = 1;
/// A class of the platform that runs, loads, reads or writes.
pub(super) const DANGER: u8 = 2;
/// A class that deserialisers are led to.
pub(super) const GADGET: u8 = 3;
/// A step of reflection.
pub(super) const CALL: u8 = 4;
/// A call that runs something.
pub(super) const RUNNER: u8 = 5;
/// A context that loads what its argument names.
pub(super) const MAPPED: u8 = 6;
/// The class loader as a property.
pub(super) const LOADER: u8 = 7;
/// What only OGNL's escapes name.
pub(super) const OGNL: u8 = 8;
/// Modules of Python that run commands.
pub(super) const PYTHON: u8 = 9;
/// Their functions.
pub(super) const SUBPROCESS: u8 = 10;
/// A class of the platform that only runs or loads, called by its short name, too.
pub(super) const LAUNCHER: u8 = 12;
/// A word without which a pattern cannot be.
const WORD: u8 = 11;

/// The kind of a word.
pub(super) fn kind(key: Key) -> u8 {
    TABLE.kind(key)
}

static TABLE: Words<512> = Words::new(LIST);

pub(super) const LIST: &[(&[u8], u8)] = &[
    (b"java", ROOT),
    (b"javax", ROOT),
    (b"jdk", ROOT),
    (b"sun", ROOT),
    (b"runtime", DANGER),
    (b"processbuilder", LAUNCHER),
    (b"processimpl", DANGER),
    (b"unixprocess", DANGER),
    (b"scriptenginemanager", LAUNCHER),
    (b"scriptengine", DANGER),
    (b"nashornscriptenginefactory", DANGER),
    (b"urlclassloader", LAUNCHER),
    (b"xmldecoder", LAUNCHER),
    (b"eventhandler", DANGER),
    (b"initialcontext", DANGER),
    (b"bufferedinputstream", DANGER),
    (b"bufferedoutputstream", DANGER),
    (b"bufferedreader", DANGER),
    (b"bufferedwriter", DANGER),
    (b"bytearrayinputstream", DANGER),
    (b"bytearrayoutputstream", DANGER),
    (b"chararrayreader", DANGER),
    (b"datainputstream", DANGER),
    (b"dataoutputstream", DANGER),
    (b"fileinputstream", DANGER),
    (b"fileoutputstream", DANGER),
    (b"filereader", DANGER),
    (b"filewriter", DANGER),
    (b"inputstreamreader", DANGER),
    (b"lineiterator", DANGER),
    (b"objectinputstream", DANGER),
    (b"objectoutputstream", DANGER),
    (b"randomaccessfile", DANGER),
    (b"printstream", DANGER),
    (b"printwriter", DANGER),
    (b"pipedinputstream", DANGER),
    (b"serversocket", DANGER),
    (b"invokertransformer", GADGET),
    (b"instantiatetransformer", GADGET),
    (b"chainedtransformer", GADGET),
    (b"constanttransformer", GADGET),
    (b"clonetransformer", GADGET),
    (b"forclosure", GADGET),
    (b"whileclosure", GADGET),
    (b"instantiatefactory", GADGET),
    (b"prototypeclonefactory", GADGET),
    (b"prototypeserializationfactory", GADGET),
    (b"lazymap", GADGET),
    (b"tiedmapentry", GADGET),
    (b"templatesimpl", GADGET),
    (b"traxfilter", GADGET),
    (b"jdbcrowsetimpl", GADGET),
    (b"badattributevalueexpexception", GADGET),
    (b"annotationinvocationhandler", GADGET),
    (b"methodclosure", GADGET),
    (b"convertedclosure", GADGET),
    (b"wrapperconnectionpooldatasource", GADGET),
    (b"jndirefforwardingdatasource", GADGET),
    (b"propertypathfactorybean", GADGET),
    (b"methodinvokingfactorybean", GADGET),
    (b"jndirealmfactory", GADGET),
    (b"jndiobjectfactory", GADGET),
    (b"objectdataprovider", GADGET),
    (b"windowsidentity", GADGET),
    (b"textformattingrunproperties", GADGET),
    (b"typeconfusedelegate", GADGET),
    (b"psobject", GADGET),
    (b"getclass", CALL),
    (b"forname", CALL),
    (b"getmethod", CALL),
    (b"getmethods", CALL),
    (b"getdeclaredmethod", CALL),
    (b"getdeclaredmethods", CALL),
    (b"getdeclaredconstructor", CALL),
    (b"getdeclaredconstructors", CALL),
    (b"getdeclaredfield", CALL),
    (b"getclassloader", CALL),
    (b"newinstance", CALL),
    (b"loadclass", CALL),
    (b"getenginebyname", CALL),
    (b"getruntime", RUNNER),
    (b"defineclass", RUNNER),
    (b"filesystemxmlapplicationcontext", MAPPED),
    (b"classpathxmlapplicationcontext", MAPPED),
    (b"shellsession", MAPPED),
    (b"classloader", LOADER),
    (b"_memberaccess", OGNL),
    (b"allowstaticmethodaccess", OGNL),
    (b"default_member_access", OGNL),
    (b"ognlcontext", OGNL),
    (b"ognlutil", OGNL),
    (b"excludedclasses", OGNL),
    (b"excludedpackagenames", OGNL),
    (b"os", PYTHON),
    (b"pty", PYTHON),
    (b"subprocess", PYTHON),
    (b"__import__", PYTHON),
    (b"commands", PYTHON),
    (b"kernel", PYTHON),
    (b"io", PYTHON),
    (b"popen", SUBPROCESS),
    (b"system", SUBPROCESS),
    (b"execl", SUBPROCESS),
    (b"execv", SUBPROCESS),
    (b"execvp", SUBPROCESS),
    (b"spawn", SUBPROCESS),
    (b"spawnl", SUBPROCESS),
    (b"call", SUBPROCESS),
    (b"check_call", SUBPROCESS),
    (b"check_output", SUBPROCESS),
    (b"getoutput", SUBPROCESS),
    (b"getstatusoutput", SUBPROCESS),
    (b"run", SUBPROCESS),
    (b"execute", WORD),
    (b"xwork2", WORD),
    (b"opensymphony", WORD),
    (b"collections", WORD),
    (b"rowset", WORD),
    (b"groovy", WORD),
    (b"groovyshell", LAUNCHER),
    (b"groovyclassloader", LAUNCHER),
    (b"jdbc", WORD),
    (b"diagnostics", WORD),
    (b"python", WORD),
    (b"ruby", WORD),
    (b"c3p0", WORD),
    (b"repackaged", WORD),
    (b"tangosol", WORD),
];

/// Packages whose classes no request has a reason to name.
pub(super) const PACKAGES: [&[u8]; 20] = [
    b"com.opensymphony.xwork2",
    b"com.sun.org.apache",
    b"com.sun.rowset",
    b"com.sun.jndi",
    b"com.bea.core.repackaged",
    b"com.tangosol",
    b"com.mchange.v2.c3p0",
    b"java.beans.xmldecoder",
    b"java.rmi.server",
    b"javax.management.loading",
    b"jdk.nashorn",
    b"sun.misc.unsafe",
    b"sun.reflect.annotation",
    b"sun.rmi",
    b"org.apache.commons.collections",
    b"org.apache.commons.collections4",
    b"org.apache.commons.configuration.jndiconfiguration",
    b"org.apache.xalan",
    b"org.codehaus.groovy.runtime",
    b"org.springframework.context.support",
];

/// The same of .NET.
pub(super) const ASSEMBLIES: [&[u8]; 6] = [
    b"system.diagnostics.process",
    b"system.diagnostics.processstartinfo",
    b"system.windows.data.objectdataprovider",
    b"system.security.principal.windowsidentity",
    b"system.configuration.install.assemblyinstaller",
    b"system.management.automation.psobject",
];
