//! What every world's adapter has: `configure`, `save` and `restore`, handed to the plugin's trait.

macro_rules! adapter {
    ($plugin:ident) => {
        /// Between the generated bindings and the plugin.
        #[doc(hidden)]
        pub struct Adapter<T>(::std::marker::PhantomData<T>);

        impl<T: $plugin + $crate::Held>
            $crate::bindings::base::exports::watchfire::plugin::lifecycle::Guest for Adapter<T>
        {
            fn configure(settings: String) -> Result<(), $crate::Failure> {
                $crate::host::report_panics();
                let plugin = T::configure(&settings)?;
                T::with(|slot| *slot = Some(plugin));
                Ok(())
            }

            fn save() -> Result<Option<$crate::Snapshot>, $crate::Failure> {
                Ok(T::held(<T as $plugin>::save))
            }

            fn restore(state: $crate::Snapshot) -> Result<(), $crate::Failure> {
                T::held(|plugin| <T as $plugin>::restore(plugin, state))
            }
        }
    };
}

/// Names the parts that make up a world, for the export macros.
#[doc(hidden)]
#[macro_export]
macro_rules! export_world {
    ($plugin:ty, $module:ident, $kind:literal, [$($need:literal),*]) => {
        $crate::manifest!($kind, [$($need),*]);
        $crate::hold!($plugin);
        type Exported = $crate::$module::Adapter<$plugin>;
        $crate::bindings::base::export!(Exported with_types_in $crate::bindings::base);
        $crate::bindings::$module::export!(Exported with_types_in $crate::bindings::$module);
    };
}
